#!/usr/bin/env python3
"""What tests need around Azurite, from Azure's documentation, with Python's standard library only.

  azure.py container ENDPOINT CA NAME         creates a container (Shared Key authorization)
  azure.py sas CONTAINER                      prints a shared access signature for a container (service SAS)
  azure.py login PORT TENANT CLIENT SECRET TOKEN   serves Microsoft's token endpoint: client secret, or a federated
                                              token read from the file TOKEN
"""
import base64, datetime, hashlib, hmac, http.server, json, ssl, sys, time, urllib.parse, urllib.request

ACCOUNT = "devstoreaccount1"
# Azurite's published development key.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-12-02"


def sign(text):
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


def container(endpoint, ca, name):
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": VERSION, "Content-Length": "0"}
    canonical = f"x-ms-date:{date}\nx-ms-version:{VERSION}\n"
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    text = "PUT\n\n\n\n\n\n\n\n\n\n\n\n" + canonical + resource
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{sign(text)}"
    request = urllib.request.Request(f"{endpoint}/{name}?restype=container", method="PUT", headers=headers)
    context = ssl.create_default_context(cafile=ca) if endpoint.startswith("https") else None
    urllib.request.urlopen(request, context=context).read()


def sas(name):
    now = datetime.datetime.now(datetime.timezone.utc)
    start, end = ((now + datetime.timedelta(hours=h)).strftime("%Y-%m-%dT%H:%M:%SZ") for h in (-1, 24))
    fields = ["racwdl", start, end, f"/blob/{ACCOUNT}/{name}", "", "", "", VERSION, "c", "", "", "", "", "", "", ""]
    pairs = {"sv": VERSION, "st": start, "se": end, "sr": "c", "sp": "racwdl", "sig": sign("\n".join(fields))}
    print(urllib.parse.urlencode(pairs))


def login(port, tenant, client, secret, token_file):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            one = lambda name: form.get(name, [""])[0]
            federated = one("client_assertion") == open(token_file).read().strip() and one("client_assertion_type").endswith("jwt-bearer")
            known = self.path == f"/{tenant}/oauth2/v2.0/token" and one("client_id") == client
            known = known and one("grant_type") == "client_credentials" and one("scope") == "https://storage.azure.com/.default"
            if not known or not (one("client_secret") == secret or federated):
                return self.answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215: invalid client secret"})
            now = int(time.time())
            claims = {"aud": "https://storage.azure.com", "iss": f"https://sts.windows.net/{tenant}/", "nbf": now - 60, "iat": now - 60, "exp": now + 3600, "appid": client, "oid": client, "tid": tenant}
            token = f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"
            self.answer(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": token})

        def answer(self, status, document):
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    {"container": container, "sas": sas, "login": login}[sys.argv[1]](*sys.argv[2:])
