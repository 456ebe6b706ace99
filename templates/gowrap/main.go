// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux || darwin

// Gowrap runs a command with chosen environment variables and signals, and
// ends as the command does: with its exit code, or by the same signal.
//
//	gowrap [-env WORD]... [-ignore LIST] [-forward LIST]
//	       [-start-limit D [-ready-file FILE]] [-stop-limit D] [--] COMMAND [ARGUMENT]...
//
// Its own exit codes are those of env and timeout: 124 the start-up limit
// passed, 125 gowrap was asked for something it cannot do, 126 the command
// cannot be run, 127 there is no such command.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	exitLimit   = 124
	exitOwn     = 125
	exitCannot  = 126
	exitMissing = 127
)

// grace is what a command has between SIGQUIT, on which a Go program tells
// where its goroutines are, and SIGKILL.
const grace = time.Second

// backlog is how many signals may wait for the command to be started.
const backlog = 1024

// A command is what gowrap runs. It leads a process group of its own.
type command struct {
	options
	pid     int
	tty     terminal
	shares  bool // another program of a pipeline may want the terminal
	heard   chan os.Signal
	ready   chan struct{}
	relays  []*relay
	expired atomic.Bool // the start-up limit has passed
	ended   atomic.Bool // it has been waited for: its pid may be anybody's
}

func main() {
	// On Linux the command dies with the thread that started it.
	runtime.LockOSThread()
	opts, err := parse(os.Args[1:])
	if err != nil {
		fail(exitOwn, err)
	}
	c := &command{options: opts, tty: openTerminal(), heard: make(chan os.Signal, backlog), ready: make(chan struct{}, 1)}
	c.listen()
	adoptOrphans()
	c.start()
	go c.attend()
	status := c.wait()
	c.ended.Store(true)
	if c.expired.Load() || c.stopLimit > 0 {
		syscall.Kill(-c.pid, syscall.SIGKILL) // what is left of its group
	}
	for _, each := range c.relays {
		each.finish()
	}
	c.tty.pass(c.pid, syscall.Getpgrp())
	switch {
	case c.expired.Load():
		fail(exitLimit, fmt.Errorf("%s was not ready within %v", c.argv[0], c.startLimit))
	case status.Signaled():
		die(status.Signal())
	}
	os.Exit(status.ExitStatus())
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "gowrap:", err)
	os.Exit(code)
}

// listen takes the signals to hand on, and sets those to ignore: the command
// inherits that. What gowrap's caller ignores stays ignored as far as Go tells.
func (c *command) listen() {
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		switch {
		case c.ignore[sig]:
			signal.Ignore(sig)
		case catchable(sig) && !signal.Ignored(sig):
			signal.Notify(c.heard, sig)
		}
	}
}

func (c *command) start() {
	if path, ok := lookup(c.env, "PATH"); ok {
		os.Setenv("PATH", path)
	}
	path := c.argv[0]
	if !hasSlash(path) {
		found, err := exec.LookPath(path)
		if err != nil {
			fail(exitMissing, err)
		}
		path = found
	}
	if c.readyFile != "" {
		if err := os.Remove(c.readyFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			fail(exitOwn, err)
		}
	}
	files := []uintptr{0, 1, 2}
	var ours []*os.File
	if c.startLimit > 0 && c.readyFile == "" {
		for _, to := range []*os.File{os.Stdout, os.Stderr} {
			read, write, err := os.Pipe()
			if err != nil {
				fail(exitOwn, err)
			}
			files[to.Fd()] = write.Fd()
			ours = append(ours, write)
			c.relays = append(c.relays, &relay{from: read, to: to, first: c.isReady, done: make(chan struct{})})
		}
	}
	if out, err := os.Stdout.Stat(); err == nil {
		c.shares = out.Mode()&os.ModeNamedPipe != 0
	}
	foreground := !c.shares && c.tty.foreground() == syscall.Getpgrp()
	pid, err := syscall.ForkExec(path, c.argv, &syscall.ProcAttr{Env: c.env, Files: files, Sys: attributes()})
	if err != nil {
		code := exitCannot
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
			code = exitMissing
		}
		fail(code, fmt.Errorf("%s: %w", c.argv[0], err))
	}
	c.pid = pid
	if foreground {
		c.tty.pass(syscall.Getpgrp(), pid)
	}
	for _, each := range ours {
		each.Close()
	}
	for _, each := range c.relays {
		go each.run()
	}
}

func (c *command) isReady() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// attend hands on signals and keeps the limits until gowrap ends.
func (c *command) attend() {
	var late, look, kill, stop <-chan time.Time
	if c.startLimit > 0 {
		late = time.After(c.startLimit)
		if c.readyFile != "" {
			look = time.Tick(20 * time.Millisecond)
		}
	}
	for {
		select {
		case heard := <-c.heard:
			sig := heard.(syscall.Signal)
			if !c.forward[sig] {
				continue
			}
			c.handOn(sig)
			if stop == nil && c.stopLimit > 0 && asksToEnd[sig] {
				stop = time.After(c.stopLimit)
			}
		case <-c.ready:
			late, look = nil, nil
		case <-look:
			if _, err := os.Lstat(c.readyFile); err == nil {
				late, look = nil, nil
			}
		case <-late:
			c.expired.Store(true)
			c.signal(-c.pid, syscall.SIGQUIT)
			late, look, kill = nil, nil, time.After(grace)
		case <-kill:
			c.signal(-c.pid, syscall.SIGKILL)
		case <-stop:
			c.signal(-c.pid, syscall.SIGKILL)
		}
	}
}

// asksToEnd holds the signals after which -stop-limit counts.
var asksToEnd = map[syscall.Signal]bool{
	syscall.SIGHUP: true, syscall.SIGINT: true, syscall.SIGQUIT: true, syscall.SIGTERM: true,
}

// handOn sends the command a signal that gowrap got; stopping and going on
// are, as from a terminal, for its whole group.
func (c *command) handOn(sig syscall.Signal) {
	switch sig {
	case syscall.SIGCONT:
		if !c.shares && c.tty.foreground() == syscall.Getpgrp() {
			c.tty.pass(syscall.Getpgrp(), c.pid)
		}
		c.signal(-c.pid, sig)
	case syscall.SIGTSTP:
		c.signal(-c.pid, sig)
	default:
		c.signal(c.pid, sig)
	}
}

func (c *command) signal(pid int, sig syscall.Signal) {
	if !c.ended.Load() {
		syscall.Kill(pid, sig)
	}
}

// wait reaps every child, orphans that fell to gowrap too, until the command
// has ended.
func (c *command) wait() syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WUNTRACED, nil)
		switch {
		case err == syscall.EINTR || err == nil && pid != c.pid:
		case err != nil:
			fail(exitOwn, fmt.Errorf("waiting for %s: %w", c.argv[0], err))
		case status.Stopped():
			c.stopped(status.StopSignal())
		default:
			return status
		}
	}
}

// stopped follows a command that the terminal stopped, so that the shell
// that waits for gowrap sees it. It returns when gowrap goes on.
func (c *command) stopped(sig syscall.Signal) {
	reads := sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
	switch {
	case c.tty < 0 || !reads && sig != syscall.SIGTSTP:
	case reads && (c.tty.foreground() == c.pid || c.tty.foreground() == syscall.Getpgrp()):
		// It was quicker than gowrap in giving it the terminal, or gowrap had
		// left that to the rest of a pipeline, and the command wants it.
		c.tty.pass(syscall.Getpgrp(), c.pid)
		c.signal(-c.pid, syscall.SIGCONT)
	default:
		c.tty.pass(c.pid, syscall.Getpgrp())
		syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	}
}
