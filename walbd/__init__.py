"""WalB: continuous backup and replication of block devices."""
