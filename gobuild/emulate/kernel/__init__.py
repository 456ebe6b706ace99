"""What the kernel keeps of the guest: its processes and threads, signals, files and sockets."""
