// Testimage shows that a Go runtime works in a container with nothing else in it, and what an HTTP client weighs there.
//
// It prints what it is, whether the container has TLS roots, and whether a goroutine that calls nothing is preempted.
// Each argument is a URL that it then fetches. It exits with 1 where something does not work; with
// GODEBUG=asyncpreemptoff=1 such a goroutine must not be preempted.
package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

func main() {
	debug := os.Getenv("GODEBUG")
	preempted := preempts()
	worked := preempted != strings.Contains(debug, "asyncpreemptoff=1")
	fmt.Println("version:", runtime.Version())
	fmt.Println("target:", runtime.GOOS+"/"+runtime.GOARCH)
	fmt.Println("GODEBUG:", debug)
	fmt.Println("preempted:", preempted)
	fmt.Println("TLS roots:", roots())
	for _, url := range os.Args[1:] {
		answer, err := fetch(url)
		if err != nil {
			answer, worked = "FAILED: "+err.Error(), false
		}
		fmt.Println("fetched:", url, answer)
	}
	if !worked {
		os.Exit(1)
	}
}

// preempts leaves the only processor to a loop that calls nothing, and says whether somebody else ever got it before
// the loop ended by itself, after about a second.
func preempts() bool {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop, ended int32
	done := make(chan bool)
	go func() {
		// An atomic load is one instruction, not a call (cmd/compile's intrinsics): nothing here asks the scheduler.
		for n := 0; n < 1<<31-1 && atomic.LoadInt32(&stop) == 0; n++ {
		}
		atomic.StoreInt32(&ended, 1)
		close(done)
	}()
	time.Sleep(time.Millisecond)
	preempted := atomic.LoadInt32(&ended) == 0
	atomic.StoreInt32(&stop, 1)
	<-done
	return preempted
}

func roots() string {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return err.Error()
	}
	if pool.Equal(x509.NewCertPool()) {
		return "none"
	}
	return "the system's"
}

func fetch(url string) (string, error) {
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	count, err := io.Copy(io.Discard, response.Body)
	return fmt.Sprintf("%s, %d bytes", response.Status, count), err
}
