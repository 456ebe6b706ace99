/*
 * Which mach traps and system calls a process enters, and from where: gobuild's doctor, gobuild/doctor/macos/stacks.py.
 * Only entries made from now on are seen: a thread that is in a trap already, and stays there, does not show.
 *
 *   sudo dtrace -Z -q -s hang.d -p PID                     a process that hangs
 *   sudo dtrace -Z -q -s hang.d -c "/path/to/go version"   from its start on
 */
#pragma D option quiet
#pragma D option bufsize=4m
#pragma D option ustackframes=48

int entries;

mach_trap::mach_msg*_trap:entry, mach_trap::semaphore_*_trap:entry, syscall:::entry
/pid == $target && entries < 400/
{
	entries++;
	printf("\ngobuild %d %s:%s\n", tid, probeprov, probefunc);
	ustack();
}

tick-2s
{
	printf("\ngobuild end\n");
	exit(0);
}
