#!/usr/bin/env python3
"""Verifies evidence of validations without any program of this project.

It needs Python 3.8 or newer and `openssl`, and nothing else. FORMAT.md, "Evidence", says what it checks.

    verify-evidence.py --key signing-key-pub.pem evidence.json
    verify-evidence.py --key signing-key-pub.pem evidence.dsse.json evidence.pdf

A document (evidence.json) and pages (evidence.pdf) have their signature beside them, in FILE.sig. An envelope
(evidence.dsse.json) has its own. Take the public key from whom you trust, not from beside the evidence.

Exit code 0: everything that was named is proven. 1: something is not. 2: the command line is wrong.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile

SCHEMA = "https://kafka-backup.dev/evidence/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
DOCUMENT = "evidence.json"
LARGEST = 16 << 20

VERDICTS = {"pass", "warn", "fail"}
OUTCOMES = {"pass", "warn", "fail", "skipped", "notRun"}

TEXT, NUMBER, LIST, MAP = str, int, list, dict

# Fields that a document must have, with their kinds.
FIELDS = {
    "schema": TEXT,
    "id": TEXT,
    "subject": MAP,
    "tool": MAP,
    "startedAt": TEXT,
    "finishedAt": TEXT,
    "verdict": TEXT,
    "asked": MAP,
    "archive": TEXT,
    "checks": LIST,
    "read": MAP,
    "measured": MAP,
    "warnings": LIST,
    "retention": MAP,
    "controls": LIST,
    "limits": LIST,
}
INSIDE = {
    "subject": {"namespace": TEXT, "name": TEXT, "run": TEXT},
    "tool": {"name": TEXT, "version": TEXT},
    "asked": {
        "from": TEXT, "owner": TEXT, "checks": LIST, "topics": LIST, "groups": LIST, "restore": TEXT, "webhooks": MAP,
    },
    "read": {"segments": NUMBER, "bytes": NUMBER, "batches": NUMBER, "records": NUMBER},
    "measured": {"readMillis": NUMBER},
    "retention": {"days": NUMBER},
}
POINT = {
    "id": TEXT, "set": TEXT, "entry": NUMBER, "digest": TEXT, "at": TEXT, "topics": NUMBER, "partitions": NUMBER,
    "records": NUMBER, "bytes": NUMBER, "gaps": NUMBER, "heldBack": NUMBER,
}
SAMPLE = {"seed": NUMBER, "segments": NUMBER, "ofSegments": NUMBER, "bytes": NUMBER, "ofBytes": NUMBER}
RESTORE = {"name": TEXT, "point": TEXT, "digest": TEXT, "planFingerprint": TEXT, "records": NUMBER}
CHECK = {"name": TEXT, "verdict": TEXT, "message": TEXT, "millis": NUMBER}
FINDING = {"what": TEXT, "isWrong": bool}


class Unproven(Exception):
    """Why a file proves nothing."""


def no_twins(pairs):
    """An object whose names are all different."""
    out = dict(pairs)
    if len(out) != len(pairs):
        raise Unproven("a name stands twice in an object")
    return out


def no_fraction(text):
    raise Unproven(f"it has the number {text}, and evidence has whole ones only")


def read_json(data):
    """JSON without twins and fractions."""
    try:
        text = data.decode("utf-8")
        return json.loads(text, object_pairs_hook=no_twins, parse_float=no_fraction, parse_constant=no_fraction)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Unproven(f"it is no JSON: {error}") from None


def canonical(value):
    """The one form of a value: names sorted by UTF-16, no spaces."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return b"{" + b",".join(canonical(name) + b":" + canonical(value[name]) for name in names) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def read(path):
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Unproven("it is larger than evidence is")
    return data


def has_signed(key, signature, message):
    """Whether openssl takes the signature of the message by the key."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("signature", "message")]
        for path, data in zip(paths, (signature, message)):
            with open(path, "wb") as file:
                file.write(data)
        command = ["openssl", "dgst", "-sha256", "-verify", key, "-signature", *paths]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def key_facts(path):
    """The id of a public key, which must be on P-256."""
    command = ["openssl", "pkey", "-pubin", "-in", path, "-outform", "DER"]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if made.returncode != 0:
        raise Unproven("the key is no public key in PEM")
    # The curve prime256v1, as it stands in DER.
    if bytes.fromhex("06082a8648ce3d030107") not in made.stdout:
        raise Unproven("the key is not ECDSA on the curve P-256")
    return hashlib.sha256(made.stdout).hexdigest()


def must_have(value, fields, where):
    """Holds an object to names and kinds."""
    if not isinstance(value, dict):
        raise Unproven(f"{where} is no object")
    for name, kind in fields.items():
        found = value.get(name)
        is_kind = type(found) is kind  # True is no number here.
        if not is_kind or (kind is NUMBER and found < 0):
            raise Unproven(f"{where}.{name} is missing, or of another kind")


def judge(checks):
    """The verdict that checks have together."""
    outcomes = {check["verdict"] for check in checks}
    if "fail" in outcomes:
        return "fail"
    if "notRun" in outcomes or not outcomes:
        return None
    return "warn" if outcomes & {"warn", "skipped"} else "pass"


def moment(text, where):
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Unproven(f"{where} is no time") from None


def look_at_checks(checks, asked):
    """Each check by itself, and all against what was asked."""
    for number, check in enumerate(checks):
        where = f"checks[{number}]"
        must_have(check, CHECK, where)
        if check["verdict"] not in OUTCOMES:
            raise Unproven(f"{where}.verdict is {check['verdict']!r}")
        findings = check.get("findings", [])
        if not isinstance(findings, list):
            raise Unproven(f"{where}.findings is no list")
        for place, finding in enumerate(findings):
            must_have(finding, FINDING, f"{where}.findings[{place}]")
        if check.get("findingsTotal", 0) < len(findings):
            raise Unproven(f"{where} has more findings than it counts")
        if check["verdict"] == "pass" and any(finding["isWrong"] for finding in findings):
            raise Unproven(f"{where} passed and found something wrong")
    names = [check["name"] for check in checks]
    if len(set(names)) != len(names) or set(names) != set(map(str, asked)):
        raise Unproven("its checks are not those that were asked for")


def look_at(document):
    """Whether a document is evidence, and does not contradict itself."""
    must_have(document, FIELDS, "document")
    if document["schema"] != SCHEMA:
        raise Unproven(f"it is of the form {document['schema']!r}, which this program does not know")
    for name, fields in INSIDE.items():
        must_have(document[name], fields, name)
    for name, fields in (("point", POINT), ("sample", SAMPLE), ("restore", RESTORE)):
        if name in document:
            must_have(document[name], fields, name)
    if document["verdict"] not in VERDICTS:
        raise Unproven(f"verdict is {document['verdict']!r}")
    look_at_checks(document["checks"], document["asked"]["checks"])
    if judge(document["checks"]) != document["verdict"]:
        raise Unproven("its verdict is not that of its checks")
    sample = document.get("sample")
    if sample and (sample["segments"] > sample["ofSegments"] or sample["bytes"] > sample["ofBytes"]):
        raise Unproven("its sample is larger than what it was drawn from")
    try:
        is_backwards = moment(document["finishedAt"], "finishedAt") < moment(document["startedAt"], "startedAt")
    except TypeError:
        raise Unproven("a time has no zone") from None
    if is_backwards:
        raise Unproven("it ends before it begins")
    if not document["id"].startswith(document["subject"]["run"]):
        raise Unproven("its name is not that of its run")


def document_of(data):
    """The document in these bytes, which have its one form."""
    document = read_json(data)
    if canonical(document) != data:
        raise Unproven("it is not in the form of evidence: sorted names, no spaces, whole numbers")
    look_at(document)
    return document


def decoded(text, what):
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Unproven(f"{what} is no base64") from None


def open_envelope(envelope, key, folder):
    """The document of an envelope. Files beside it that it names must be those that it names."""
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise Unproven("its payload is no in-toto statement")
    payload = decoded(envelope.get("payload"), "its payload")
    head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode()
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or not all(isinstance(one, dict) for one in signatures):
        raise Unproven("it has no signatures")
    if not any(has_signed(key, decoded(one.get("sig"), "a signature"), head + payload) for one in signatures):
        raise Unproven("none of its signatures is by this key")
    statement = read_json(payload)
    must_have(statement, {"_type": TEXT, "predicateType": TEXT, "predicate": MAP, "subject": LIST}, "statement")
    if statement["_type"] != STATEMENT or statement["predicateType"] != SCHEMA:
        raise Unproven("it holds another statement than evidence of a validation")
    document = document_of(canonical(statement["predicate"]))
    digests = {}
    for number, subject in enumerate(statement["subject"]):
        must_have(subject, {"name": TEXT, "digest": MAP}, f"subject[{number}]")
        digests[subject["name"]] = subject["digest"]
    own = hashlib.sha256(canonical(document)).hexdigest()
    if digests.get(DOCUMENT, {}).get("sha256") != own:
        raise Unproven("the document in it is not the one that it is about")
    point = document.get("point")
    if point and digests.get(point["id"], {}).get("blake3") != point["digest"]:
        raise Unproven("it is about another recovery point than its document")
    for name, digest in digests.items():
        path = os.path.join(folder, os.path.basename(name))
        if "sha256" in digest and os.path.exists(path):
            if hashlib.sha256(read(path)).hexdigest() != digest["sha256"]:
                raise Unproven(f"{name} beside it is not the file that it is about")
    return document


def verify(path, key, signature):
    """What a file is, and its document."""
    data = read(path)
    if not data.startswith(b"%PDF-"):
        value = read_json(data)
        if isinstance(value, dict) and "payloadType" in value:
            return "envelope", open_envelope(value, key, os.path.dirname(os.path.abspath(path)))
    beside = signature or path + ".sig"
    if not os.path.exists(beside):
        raise Unproven(f"its signature {beside} is not there")
    if not has_signed(key, read(beside), data):
        raise Unproven("the signature is not of these bytes by this key")
    if data.startswith(b"%PDF-"):
        return "pages", None
    return "document", document_of(data)


def tell(document):
    subject, point = document["subject"], document.get("point", {})
    place = f"{subject['namespace']}/" if subject["namespace"] else ""
    print(f"  says   {document['verdict']}, by {place}{subject['name']}, run {subject['run']}")
    if point:
        print(f"  of     {point['id']}, seal {point['digest']} (entry {point['entry']})")
    print(f"  made   {document['startedAt']} to {document['finishedAt']}, by {document['tool']['version']}")
    for check in document["checks"]:
        print(f"  {check['verdict']:<8} {check['name']}: {check['message']}")


def main():
    parser = argparse.ArgumentParser(description="Verifies evidence of validations.")
    parser.add_argument("--key", required=True, help="the public key in PEM, from whom you trust")
    parser.add_argument("--signature", help="the signature, where one file is named; FILE.sig when absent")
    parser.add_argument("files", nargs="+", metavar="FILE")
    options = parser.parse_args()
    if options.signature and len(options.files) > 1:
        parser.error("--signature goes with one file")
    try:
        print(f"key {key_facts(options.key)}")
    except (Unproven, OSError) as error:
        print(f"{options.key}: {error}", file=sys.stderr)
        return 2
    is_proven = True
    for path in options.files:
        try:
            what, document = verify(path, options.key, options.signature)
            print(f"VERIFIED {path}: {what}, signed by this key")
            if document:
                tell(document)
        except (Unproven, OSError) as error:
            is_proven = False
            print(f"NOT VERIFIED {path}: {error}")
    return 0 if is_proven else 1


if __name__ == "__main__":
    sys.exit(main())
