#!/usr/bin/env python3
"""A stub of Google Cloud Storage's XML API, written from Google's documentation, for tests only.

  gcs.py PORT BUCKET EMAIL MODULUS [CERTIFICATE KEY]    serves one bucket, in memory, to one service account; over TLS with a certificate

It keeps what the documentation promises and tests rely on: strong consistency, `x-goog-if-generation-match`
(412 when it does not match), ranges (206, 416), lists by prefix, delimiter and pages of at most 1,000 keys,
multipart uploads (parts of 5 MiB or more, but for the last), and self-signed JSON Web Tokens (RS256) checked
against the account's RSA modulus (hexadecimal).
"""
import base64, hashlib, http.server, json, ssl, sys, threading, time, urllib.parse, xml.etree.ElementTree as xml
from xml.sax.saxutils import escape

PORT, BUCKET, EMAIL, MODULUS = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4], 16)
LEAST_PART = 5 << 20
lock = threading.Lock()
objects = {}  # key -> (bytes, generation, modified)
uploads = {}  # id -> (key, {number: bytes})
generation = 0
# DER prefix of a SHA-256 DigestInfo (RFC 8017, section 9.2).
PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def trusted(header):
    """Whether an Authorization header carries a token that the account signed and that is still good."""
    try:
        kind, token = header.split(" ", 1)
        head, claims, signature = token.split(".")
        size = (MODULUS.bit_length() + 7) // 8
        plain = pow(int.from_bytes(decoded(signature), "big"), 65537, MODULUS).to_bytes(size, "big")
        digest = PREFIX + hashlib.sha256(f"{head}.{claims}".encode()).digest()
        expected = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
        claims, now = json.loads(decoded(claims)), time.time()
        return kind == "Bearer" and plain == expected and claims["iss"] == EMAIL and claims["iat"] - 60 < now < claims["exp"]
    except (AttributeError, KeyError, ValueError):
        return False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code):
        self.answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def handle_request(self):
        global generation
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        if not trusted(self.headers.get("Authorization")):
            return self.error(403, "AccessDenied")
        if bucket != BUCKET:
            return self.error(404, "NoSuchBucket")
        with lock:
            if not key:
                return self.list(query)
            if self.command == "POST" and "uploads" in query:
                identity = hashlib.sha256(f"{key}{time.time_ns()}".encode()).hexdigest()
                uploads[identity] = (key, {})
                return self.answer(200, f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{identity}</UploadId></InitiateMultipartUploadResult>".encode())
            if "uploadId" in query:
                return self.upload(key, query, body)
            if self.command == "PUT":
                wanted = self.headers.get("x-goog-if-generation-match")
                if wanted is not None and int(wanted) != objects.get(key, (b"", 0, 0))[1]:
                    return self.error(412, "PreconditionFailed")
                return self.store(key, body)
            if key not in objects:
                return self.error(404, "NoSuchKey")
            if self.command == "DELETE":
                del objects[key]
                return self.answer(204)
            return self.read(*objects[key])

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def store(self, key, body):
        global generation
        generation += 1
        objects[key] = (body, generation, time.time())
        self.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"', x_goog_generation=str(generation))

    def read(self, body, number, modified):
        headers = {
            "ETag": f'"{hashlib.md5(body).hexdigest()}"',
            "x_goog_generation": str(number),
            "Last_Modified": self.date_time_string(modified),
            "Content_Type": "application/octet-stream",
        }
        wanted = self.headers.get("Range")
        if wanted is None:
            return self.answer(200, body, **headers)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if first == "":
            start, end = max(0, len(body) - int(last)), len(body)
        else:
            start, end = int(first), min(int(last) + 1, len(body)) if last else len(body)
        if start >= len(body):
            return self.error(416, "InvalidRange")
        self.answer(206, body[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(body)}", **headers)

    def upload(self, key, query, body):
        identity = query["uploadId"]
        if identity not in uploads or uploads[identity][0] != key:
            return self.error(404, "NoSuchUpload")
        parts = uploads[identity][1]
        if self.command == "PUT":
            parts[int(query["partNumber"])] = body
            return self.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')
        del uploads[identity]
        if self.command == "DELETE":
            return self.answer(204)
        named = [(int(part.findtext("PartNumber")), part.findtext("ETag").strip('"')) for part in xml.fromstring(body)]
        known = [(number, hashlib.md5(parts[number]).hexdigest()) for number, _ in named if number in parts]
        if named != known or [number for number, _ in named] != sorted(number for number, _ in named):
            return self.error(400, "InvalidPart")
        if any(len(parts[number]) < LEAST_PART for number, _ in named[:-1]):
            return self.error(400, "EntityTooSmall")
        global generation
        generation += 1
        whole = b"".join(parts[number] for number, _ in named)
        objects[key] = (whole, generation, time.time())
        tag = hashlib.md5(whole).hexdigest()
        self.answer(200, f'<CompleteMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><ETag>"{tag}"</ETag></CompleteMultipartUploadResult>'.encode(), x_goog_generation=str(generation))

    def list(self, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("continuation-token") or query.get("start-after", "")
        most, entries, folders = min(int(query.get("max-keys", 1000)), 1000), [], []
        more = False
        for key in sorted(objects):
            rest = key[len(prefix):]
            folder = prefix + rest.split(delimiter)[0] + delimiter if delimiter and delimiter in rest else None
            if not key.startswith(prefix) or key <= after or (folder and (folder in folders or folder <= after)):
                continue
            if len(entries) + len(folders) == most:
                more = True
                break
            (folders if folder else entries).append(folder or key)
        describe = lambda key: f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key][0])}</Size><ETag>\"x\"</ETag><LastModified>{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(objects[key][2]))}</LastModified></Contents>"
        token = f"<NextContinuationToken>{escape(max(entries + folders))}</NextContinuationToken>" if more else ""
        body = "".join(map(describe, entries)) + "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders)
        self.answer(200, f"<?xml version='1.0'?><ListBucketResult><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(entries) + len(folders)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>{token}{body}</ListBucketResult>".encode())


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


server = Server(("127.0.0.1", PORT), Handler)
if len(sys.argv) > 5:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[5], sys.argv[6])
    # The handshake of a connection is its own thread's: one that fails ends no other.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
