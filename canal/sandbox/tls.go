package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// TLSFiles are the paths of PEM files: an authority, and a certificate with its
// key for the server and for a client, both signed by it.
type TLSFiles struct {
	CA                    string
	ServerCert, ServerKey string
	ClientCert, ClientKey string
}

// MakeTLS makes an authority and certificates in the folder dir, valid for a
// day. The server's are good for 127.0.0.1 and localhost. The authority's key
// is kept nowhere.
func MakeTLS(dir string) (*TLSFiles, error) {
	files := &TLSFiles{
		CA:         filepath.Join(dir, "ca.pem"),
		ServerCert: filepath.Join(dir, "server-cert.pem"),
		ServerKey:  filepath.Join(dir, "server-key.pem"),
		ClientCert: filepath.Join(dir, "client-cert.pem"),
		ClientKey:  filepath.Join(dir, "client-key.pem"),
	}
	authority := certificate("kith sandbox authority")
	authority.IsCA = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	if err := writeCertificate(files.CA, authority, authority, &authorityKey.PublicKey, authorityKey); err != nil {
		return nil, err
	}

	server := certificate("kith sandbox server")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if err := writePair(files.ServerCert, files.ServerKey, server, authority, authorityKey); err != nil {
		return nil, err
	}
	client := certificate("kith sandbox client")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if err := writePair(files.ClientCert, files.ClientKey, client, authority, authorityKey); err != nil {
		return nil, err
	}
	return files, nil
}

// certificate returns what all of them have in common. It is valid from an
// hour ago, for clocks that differ.
func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

// writePair writes a new key and the certificate for it.
func writePair(certFile, keyFile string, cert, authority *x509.Certificate, signer *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key %s: %w", keyFile, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make the key %s: %w", keyFile, err)
	}
	if err := writePEM(keyFile, "PRIVATE KEY", der); err != nil {
		return err
	}
	return writeCertificate(certFile, cert, authority, &key.PublicKey, signer)
}

func writeCertificate(file string, cert, authority *x509.Certificate, key *ecdsa.PublicKey, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, authority, key, signer)
	if err != nil {
		return fmt.Errorf("make the certificate %s: %w", file, err)
	}
	return writePEM(file, "CERTIFICATE", der)
}

func writePEM(file, kind string, der []byte) error {
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		return fmt.Errorf("write a PEM file: %w", err)
	}
	return nil
}
