// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux || darwin

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"
)

// die ends gowrap by a signal, without a core file of its own. What the
// signal did so far (Go's runtime takes most of them) and a mask that blocks
// it are undone; zeros are SIG_DFL and the empty mask in every layout of theirs.
func die(sig syscall.Signal) {
	noCore()
	var zero [8]uint64
	syscall.RawSyscall6(sysSigaction, uintptr(sig), uintptr(unsafe.Pointer(&zero)), 0, 8, 0, 0)
	syscall.RawSyscall6(sysSigprocmask, setMask, uintptr(unsafe.Pointer(&zero)), 0, 8, 0, 0)
	syscall.Kill(syscall.Getpid(), sig)
	// A container's first process cannot be ended so.
	time.Sleep(50 * time.Millisecond)
	os.Exit(128 + int(sig))
}

// A terminal is the controlling one, or below zero where there is none.
type terminal int

func openTerminal() terminal {
	fd, err := syscall.Open("/dev/tty", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return terminal(fd)
}

// foreground is the process group that the terminal is with; 0 for none.
func (t terminal) foreground() int {
	var group int32
	if t < 0 {
		return 0
	}
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(t), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group))); err != 0 {
		return 0
	}
	return int(group)
}

// pass gives the terminal from one group to another, if it is with the first.
func (t terminal) pass(from, to int) {
	if t < 0 || t.foreground() != from {
		return
	}
	// Whoever has it not is stopped for giving it, unless it ignores that.
	if !signal.Ignored(syscall.SIGTTOU) {
		signal.Ignore(syscall.SIGTTOU)
		defer signal.Reset(syscall.SIGTTOU)
	}
	group := int32(to)
	syscall.Syscall(syscall.SYS_IOCTL, uintptr(t), syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&group)))
}

// A relay copies what the command writes, and tells when it first does.
type relay struct {
	from, to *os.File
	first    func()
	done     chan struct{}
}

func (r *relay) run() {
	defer close(r.done)
	defer r.from.Close()
	block := make([]byte, 32<<10)
	for {
		n, err := r.from.Read(block)
		if n > 0 && !r.write(block[:n]) {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.rest(block)
		}
		if err != nil {
			return
		}
	}
}

func (r *relay) write(data []byte) bool {
	r.first()
	_, err := r.to.Write(data)
	return err == nil
}

// rest copies what is in the pipe, and waits for no more.
func (r *relay) rest(block []byte) {
	conn, err := r.from.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) {
		for {
			n, err := syscall.Read(int(fd), block)
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 || !r.write(block[:n]) {
				return
			}
		}
	})
}

// finish lets through what the command wrote before it ended. Others may hold
// the pipe open for as long as they like.
func (r *relay) finish() {
	r.from.SetReadDeadline(time.Now())
	<-r.done
}
