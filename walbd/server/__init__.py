"""What the three daemons share: options, log, states, tasks, life cycle."""
