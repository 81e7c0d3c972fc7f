// Forwards local ports through one SSH connection of golang.org/x/crypto/ssh, each accepted connection by ssh.Client.Dial, as Kubernetes'
// SSHTunneler dials. It reads one line of JSON, the task, from stdin; answers with one, the local port of each endpoint; and ends when
// stdin does.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
)

type task struct {
	// Address is sshd's host:port.
	Address    string `json:"address"`
	Username   string `json:"username"`
	PrivateKey string `json:"privateKey"`
	// HostKeys are lines of `type base64`.
	HostKeys []string `json:"hostKeys"`
	// Endpoints are host:port, by name.
	Endpoints map[string]string `json:"endpoints"`
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatalf("go: %v", err)
	}
}

func run() error {
	stdin := bufio.NewReader(os.Stdin)
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		return err
	}
	var t task
	if err := json.Unmarshal(line, &t); err != nil {
		return err
	}
	client, err := connect(t)
	if err != nil {
		return err
	}
	defer client.Close()
	ports := map[string]int{}
	for name, endpoint := range t.Endpoints {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		ports[name] = listener.Addr().(*net.TCPAddr).Port
		go serve(listener, client, endpoint)
	}
	if err := json.NewEncoder(os.Stdout).Encode(ports); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}

// connect logs in. Go sets TCP_NODELAY by itself, here and on what is accepted.
func connect(t task) (*ssh.Client, error) {
	signer, err := ssh.ParsePrivateKey([]byte(t.PrivateKey))
	if err != nil {
		return nil, err
	}
	known, err := knownHost(t.HostKeys)
	if err != nil {
		return nil, err
	}
	return ssh.Dial("tcp", t.Address, &ssh.ClientConfig{
		User:            t.Username,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: known,
	})
}

// knownHost returns a check that accepts these host keys and no others.
func knownHost(lines []string) (ssh.HostKeyCallback, error) {
	var known [][]byte
	for _, line := range lines {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("host key %q: %w", line, err)
		}
		known = append(known, key.Marshal())
	}
	return func(host string, _ net.Addr, key ssh.PublicKey) error {
		for _, candidate := range known {
			if bytes.Equal(candidate, key.Marshal()) {
				return nil
			}
		}
		return fmt.Errorf("%s has an unknown host key %s", host, ssh.FingerprintSHA256(key))
	}, nil
}

func serve(listener net.Listener, client *ssh.Client, endpoint string) {
	for {
		local, err := listener.Accept()
		if err != nil {
			log.Printf("go: %v", err)
			return
		}
		go forward(local, client, endpoint)
	}
}

// forward carries one connection until both sides have ended.
func forward(local net.Conn, client *ssh.Client, endpoint string) {
	defer local.Close()
	remote, err := client.Dial("tcp", endpoint)
	if err != nil {
		log.Printf("go: %v", err)
		return
	}
	defer remote.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		carry(remote, local)
	}()
	carry(local, remote)
	<-sent
}

// carry copies until the source ends, then ends the sink as well. A sink that takes no more ends the source, lest it wait for ever.
func carry(sink, source net.Conn) {
	if _, err := io.Copy(sink, source); err != nil {
		sink.Close()
		source.Close()
		return
	}
	sink.(interface{ CloseWrite() error }).CloseWrite()
}
