"""webserver.py -- https servers on loopback for the tests, with certificates of authorities made for the purpose.

    web = Web(folder)                        # makes the authorities and the certificates by `openssl`
    url = web.serve(lambda ask: ask.say(b"text"), "good")      # https://localhost:PORT; a thread for each connection
    web.authorities                          # the file for SSL_CERT_FILE
"""
import os, socket, ssl, subprocess, threading


class Ask:
    """One request: its path and fields, and ways to answer it."""

    def __init__(self, stream):
        self.stream, self.path, self.fields = stream, "", {}
        head = b""
        while b"\r\n\r\n" not in head:
            more = stream.recv(65536)
            if not more:
                return
            head += more
        lines = head.decode("latin-1").split("\r\n")
        self.path = lines[0].split()[1]
        self.fields = {l.split(":", 1)[0].lower(): l.split(":", 1)[1].strip() for l in lines[1:] if ":" in l}

    def raw(self, text):
        self.stream.sendall(text)

    def say(self, body, status="200 OK", *fields):
        head = "HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n" % (status, len(body), "".join(f + "\r\n" for f in fields))
        self.raw(head.encode() + body)


class Web:
    def __init__(self, folder):
        self.folder, self.ports = folder, []
        os.makedirs(folder, exist_ok=True)
        self.authority("ours", "rsa:4096")
        self.authority("curves", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1")
        self.authority("theirs", "rsa:2048")
        self.authorities = os.path.join(folder, "authorities.pem")
        self.bundle("authorities.pem", "ours", None, "curves")
        self.certificate("good", "ours", "DNS:localhost,IP:127.0.0.1")
        self.certificate("curve", "curves", "DNS:localhost,IP:127.0.0.1", kind="ec")
        self.certificate("between", "ours", "DNS:between", authority=True)
        self.certificate("chained", "between", "DNS:*.localhost,DNS:localhost")
        self.bundle("chained.crt", "chained", "between")
        self.certificate("forged", "good", "DNS:localhost")  # by one that is no authority
        self.bundle("forged.crt", "forged", "good")
        self.certificate("foreign", "theirs", "DNS:localhost,IP:127.0.0.1")
        self.certificate("elsewhere", "ours", "DNS:example.org")
        self.certificate("old", "ours", "DNS:localhost,IP:127.0.0.1", days=-1)

    def openssl(self, *arguments):
        done = subprocess.run(["openssl"] + list(arguments), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError("openssl %s\n%s" % (" ".join(arguments), done.stdout))

    def authority(self, name, *key):
        self.openssl("req", "-x509", "-newkey", *key, "-nodes", "-keyout", name + ".key", "-out", name + ".crt", "-days", "3650",
                     "-subj", "/CN=Authority " + name)

    def bundle(self, to, *names):
        """Certificates in one file; None: one that cannot be read."""
        text = ""
        for name in names:
            if name:
                with open(os.path.join(self.folder, name + ".crt")) as f:
                    text += f.read()
            else:
                text += "# a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        with open(os.path.join(self.folder, to), "w") as f:
            f.write(text)

    def certificate(self, name, by, names, kind="rsa", days=30, authority=False):
        if kind == "ec":
            self.openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", name + ".key")
        else:
            self.openssl("genrsa", "-out", name + ".key", "2048")
        self.openssl("req", "-new", "-key", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + ("Between" if authority else "localhost"))
        with open(os.path.join(self.folder, name + ".ext"), "w") as f:
            f.write("subjectAltName=%s\nbasicConstraints=CA:%s\n" % (names, "TRUE" if authority else "FALSE"))
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", by + ".crt", "-CAkey", by + ".key", "-CAcreateserial", "-out", name + ".crt",
                     "-days", str(days), "-sha384" if kind == "ec" else "-sha256", "-extfile", name + ".ext")

    def serve(self, answer, certificate="good", host="localhost", most=None):
        """Answers each request by answer(Ask), until the test ends. `most`: the latest TLS that it speaks."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.folder, certificate + ".crt"), os.path.join(self.folder, certificate + ".key"))
        if most:
            context.maximum_version = most
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)

        def one(plain):
            try:
                with context.wrap_socket(plain, server_side=True) as stream:
                    answer(Ask(stream))
                    stream.unwrap()
            except (OSError, ValueError):
                pass

        return self.listen(listener, one, "https://%s" % host)

    def plain(self, answer):
        """A server without TLS: answer(socket)."""
        def one(s):
            try:
                with s:
                    answer(s)
            except OSError:
                pass
        return self.listen(socket.create_server(("127.0.0.1", 0), backlog=64), one, "https://localhost")

    def listen(self, listener, one, prefix):
        def accept():
            while True:
                try:
                    s, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(s,), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return "%s:%d" % (prefix, listener.getsockname()[1])
