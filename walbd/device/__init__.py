"""walb devices: the kernel driver's and the user-space one."""
