// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch sumdb-check: a checksum database's answer about another
// module, signed and logged as it is, vouches for nothing. cmd/go has to be
// built from the patched source.
package proof

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const name = "acme.example/sumdb"

// site is a module proxy and a checksum database of two modules.
type site struct {
	t    *testing.T
	url  string
	key  ed25519.PrivateKey
	body map[string][]byte // by path
}

func TestAnAnswerAboutAnotherModuleIsRefused(t *testing.T) {
	s := &site{t: t, key: ed25519.NewKeyFromSeed(make([]byte, 32)), body: map[string][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := s.body[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Write(body)
	}))
	defer server.Close()
	s.url = server.URL
	records := []string{s.module("example.com/a", "honest"), s.module("example.com/b", "honest")}
	s.log(records)

	// The record that was asked for is taken, and a zip that it is not of is refused: as ever.
	if out, err := s.download("example.com/a"); err != nil {
		t.Fatalf("the honest download fails: %v\n%s", err, out)
	}
	s.module("example.com/a", "planted")
	if out, err := s.download("example.com/a"); err == nil || !strings.Contains(out, "checksum mismatch") {
		t.Fatalf("a planted zip under its own record: %v\n%s", err, out)
	}
	s.body["/sumdb/lookup/example.com/a@v1.0.0"] = s.body["/sumdb/lookup/example.com/b@v1.0.0"]
	out, err := s.download("example.com/a")
	if err == nil {
		t.Fatalf("a planted zip under another module's record is taken: %q", out)
	}
	for _, want := range []string{"example.com/a@v1.0.0: verifying ", "checksum missing from sumdb response", "SECURITY ERROR"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q: %q", want, out)
		}
	}
}

// module puts a module into the proxy, and returns its record.
func (s *site) module(path, content string) string {
	const version = "v1.0.0"
	mod := "module " + path + "\n"
	files := [][2]string{{path + "@" + version + "/a.go", "package a // " + content + "\n"}, {path + "@" + version + "/go.mod", mod}}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, f := range files {
		entry, err := w.Create(f[0])
		if err != nil {
			s.t.Fatal(err)
		}
		entry.Write([]byte(f[1]))
	}
	w.Close()
	at := "/proxy/" + path + "/@v/" + version
	s.body[at+".zip"], s.body[at+".mod"] = packed.Bytes(), []byte(mod)
	s.body[at+".info"] = []byte(`{"Version": "v1.0.0"}`)
	return fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", path, version, h1(files), path, version, h1([][2]string{{"go.mod", mod}}))
}

// h1 is the hash that go.sum has of files, which have to be in order.
func h1(files [][2]string) string {
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%x  %s\n", sha256.Sum256([]byte(f[1])), f[0])
	}
	return "h1:" + base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// log publishes two records: a tree of two leaves, its head, and a lookup for each.
func (s *site) log(records []string) {
	var tile []byte
	for _, record := range records {
		leaf := sha256.Sum256([]byte("\x00" + record))
		tile = append(tile, leaf[:]...)
	}
	root := sha256.Sum256(append([]byte{1}, tile...))
	head := s.sign(fmt.Sprintf("go.sum database tree\n2\n%s\n", base64.StdEncoding.EncodeToString(root[:])))
	s.body["/sumdb/latest"] = []byte(head)
	s.body["/sumdb/tile/8/0/000.p/2"] = tile
	for id, record := range records {
		path, _, _ := strings.Cut(record, " ")
		s.body["/sumdb/lookup/"+path+"@v1.0.0"] = []byte(fmt.Sprintf("%d\n%s\n%s", id, record, head))
	}
}

// public is the public key as a database's key is written: an algorithm, 1 for Ed25519, and the key.
func (s *site) public() []byte {
	return append([]byte{1}, s.key.Public().(ed25519.PublicKey)...)
}

// hash is what tells keys of one name apart.
func (s *site) hash() []byte {
	sum := sha256.Sum256(append([]byte(name+"\n"), s.public()...))
	return sum[:4]
}

func (s *site) sign(text string) string {
	signature := append(s.hash(), ed25519.Sign(s.key, []byte(text))...)
	return text + "\n\u2014 " + name + " " + base64.StdEncoding.EncodeToString(signature) + "\n"
}

// download asks for a module with empty caches.
func (s *site) download(path string) (string, error) {
	dir := s.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module x\n\ngo 1.20\n"), 0o666); err != nil {
		s.t.Fatal(err)
	}
	key := fmt.Sprintf("%s+%x+%s", name, s.hash(), base64.StdEncoding.EncodeToString(s.public()))
	cmd := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), "mod", "download", path+"@v1.0.0")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=-modcacherw", "GOWORK=off", "GOTOOLCHAIN=local", "GOPATH="+filepath.Join(dir, "gopath"),
		"GOMODCACHE=", "GOPRIVATE=", "GONOPROXY=", "GONOSUMDB=", "GOPROXY="+s.url+"/proxy", "GOSUMDB="+key+" "+s.url+"/sumdb")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
