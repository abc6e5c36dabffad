#!/usr/bin/env python3
"""A reader of the archive written from FORMAT.md alone. It shares no code with the product.

usage: reader.py ls      DIR                     sets and recovery points
       reader.py batches DIR TOPIC PARTITION     all archived batches as the broker sent them, to standard output
       reader.py records DIR                     committed records of the newest point of every set, as JSON lines

DIR is the folder that holds the sets. Every digest on the way is checked. The newest recovery point that has the
topic is read.
"""
import base64, gzip, json, os, struct, sys

import blake3, cramjam, zstandard

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
FEATURES = {"lost-segments", "prune"}


def unzstd(data):
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def document(data):
    value = json.loads(unzstd(data) if data.startswith(ZSTD_MAGIC) else data)
    assert value["format"] == 1 and set(value.get("requires", [])) <= FEATURES, "a newer format"
    return value


def read(*parts):
    with open(os.path.join(*parts), "rb") as file:
        return file.read()


def digest(data):
    return blake3.blake3(data).hexdigest()


def rows(columns):
    names = list(columns)
    return [dict(zip(names, values)) for values in zip(*(columns[name] for name in names))]


def entries(folder):
    """The chain of a set, every link checked."""
    number, previous = 0, None
    while True:
        path = os.path.join(folder, "log", "main", f"{number // 4096:020}", f"{number:020}")
        if not os.path.exists(path):
            return
        data = read(path)
        entry = document(data)
        assert entry["n"] == number and entry["previous"] == previous, f"entry {number} does not follow"
        yield entry
        number, previous = number + 1, digest(data)


class Pruned:
    """What the newest prune entry of a chain says; of a chain without one, nothing."""

    def __init__(self, chain):
        said = next((entry for entry in reversed(chain) if entry["kind"] == "prune"), None)
        self.oldest, self.hidden, self.dead = 0, {}, []
        if said:
            prune = said["prune"]
            self.oldest = prune["oldest"]["entry"] if "oldest" in prune else said["n"]
            self.dead = rows(prune["dead"])
            for row in rows(prune["hidden"]):
                self.hidden[said["topics"][row["topic"]]["id"], row["partition"]] = row

    def is_dead(self, segment):
        return any(r["claim"] == segment["claim"] and r["from"] <= segment["seq"] < r["to"] for r in self.dead)

    def hides(self, segment, topic_id, partition, following):
        row = self.hidden.get((topic_id, partition))
        if not row or (segment["claim"], segment["seq"]) > (row["claim"], row["seq"]):
            return False
        return row["low"] == -1 or following <= row["low"]


def seals_of(chain):
    """The recovery points that are left."""
    oldest = Pruned(chain).oldest
    return [entry["seal"] for entry in chain if entry["kind"] == "seal" and entry["n"] >= oldest]


def sets(root):
    for name in sorted(os.listdir(root)):
        if os.path.exists(os.path.join(root, name, "set.json")):
            yield name, document(read(root, name, "set.json"))


def place(segment):
    return segment["claim"], segment["nonce"], segment["seq"]


def footer(folder, segment):
    path = os.path.join(folder, "data", f"{segment['claim']:020}-{segment['nonce']}", f"{segment['seq']:08}.seg")
    data = read(path)
    assert len(data) == segment["size"] and data[:8] == b"KBSEGMT1" and data[-8:] == b"KBSEGEND"
    assert struct.unpack("<QQ", data[8:24]) == (segment["claim"], segment["seq"])
    assert data[24:32] == blake3.blake3(segment["nonce"].encode()).digest()[:8]
    (length,) = struct.unpack("<Q", data[-48:-40])
    packed = data[-48 - length : -48]
    assert digest(packed) == segment["digest"] == data[-40:-8].hex()
    return data, json.loads(unzstd(packed))


def decompress(codec, data):
    if codec == 0:
        return data
    if codec == 1:
        return gzip.decompress(data)
    if codec == 2:
        return unsnap(data)
    if codec == 3:
        return bytes(cramjam.lz4.decompress(data))
    if codec == 4:
        return unzstd(data)
    raise ValueError(f"codec {codec}")


def unsnap(data):
    if not data.startswith(b"\x82SNAPPY\0"):
        return bytes(cramjam.snappy.decompress_raw(data))
    out, at = b"", 16
    while at < len(data):
        (length,) = struct.unpack(">i", data[at : at + 4])
        out += bytes(cramjam.snappy.decompress_raw(data[at + 4 : at + 4 + length]))
        at += 4 + length
    return out


def shares(root, topic, partition):
    """(aborted ranges, first offset, end, bytes) of each share of a partition, in log order. From `end` on a later
    timeline counts."""
    for name, _ in sets(root):
        folder = os.path.join(root, name)
        chain = list(entries(folder))
        seals, pruned = seals_of(chain), Pruned(chain)
        if not seals or not any(t["name"] == topic and t["live"] for t in seals[-1]["topics"]):
            continue
        topic_id = next(t["id"] for t in seals[-1]["topics"] if t["name"] == topic and t["live"])
        while chain[-1]["kind"] != "seal":
            chain.pop()
        forks = [fork for entry in chain for fork in entry.get("forks", [])]
        starts = [f["from"] for f in forks if f["topic"] == topic_id and f["partition"] == partition]
        lost = {place(segment) for entry in chain for segment in entry.get("lost", [])}
        for entry in chain:
            for segment in entry.get("segments", []):
                if place(segment) in lost or pruned.is_dead(segment):
                    continue
                data, index = footer(folder, segment)
                blocks = rows(index["blocks"])
                at = 32
                for block in blocks:
                    assert block["at"] == at, "blocks tile the file"
                    stored = data[at : at + block["length"]]
                    assert blake3.blake3(stored).hexdigest()[:32] == block["digest"]
                    at += block["length"]
                places = [i for i, t in enumerate(index["topics"]) if t["id"] == topic_id]
                aborted = [a for a in rows(index["aborted"]) if a["topic"] in places and a["partition"] == partition]
                for share in rows(index["shares"]):
                    if share["topic"] in places and share["partition"] == partition:
                        if pruned.hides(segment, topic_id, partition, share["next"]):
                            continue
                        block = blocks[share["block"]]
                        plain = decompress(block["codec"], data[block["at"] : block["at"] + block["length"]])
                        end = min(starts[share["timeline"] :], default=1 << 63)
                        yield aborted, share["first"], end, plain[share["at"] : share["at"] + share["length"]]
        return


def batches(data):
    at = 0
    while at < len(data):
        (length,) = struct.unpack(">i", data[at + 8 : at + 12])
        yield data[at : at + 12 + length]
        at += 12 + length


def varint(data, at):
    shift = value = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at


def nullable(data, at):
    length, at = varint(data, at)
    return (None, at) if length < 0 else (data[at : at + length], at + length)


def records(batch):
    base, _, _, _, _, attributes, _, base_time, max_time, producer, _, _, count = struct.unpack(">qiibIhiqqqhii", batch[:61])
    data, at = decompress(attributes & 7, batch[61:]), 0
    for _ in range(count):
        _, at = varint(data, at)
        time, at = varint(data, at + 1)
        offset, at = varint(data, at)
        key, at = nullable(data, at)
        value, at = nullable(data, at)
        number, at = varint(data, at)
        headers = []
        for _ in range(number):
            name, at = nullable(data, at)
            content, at = nullable(data, at)
            headers.append((name, content))
        yield base + offset, max_time if attributes & 8 else base_time + time, key, value, headers


def text(data):
    return None if data is None else base64.b64encode(data).decode()


def live_partitions(root):
    """(topic, partition) of the newest recovery point of each set."""
    for name, _ in sets(root):
        seals = seals_of(list(entries(os.path.join(root, name))))
        for topic in seals[-1]["topics"] if seals else []:
            if topic["live"]:
                yield from ((topic["name"], partition) for partition in range(topic["partitions"]))


def committed(root, topic, partition):
    for aborted, first, end, data in shares(root, topic, partition):
        for batch in batches(data):
            (base,) = struct.unpack(">q", batch[:8])
            (attributes,) = struct.unpack(">h", batch[21:23])
            (producer,) = struct.unpack(">q", batch[43:51])
            rolled_back = any(a["producer"] == producer and a["from"] <= base <= a["to"] for a in aborted)
            if not (attributes & 0x20 or (attributes & 0x10 and rolled_back)):
                yield from (record for record in records(batch) if first <= record[0] < end)


def main():
    command, root = sys.argv[1:3]
    if command == "ls":
        for name, info in sets(root):
            points = [seal["point"] for seal in seals_of(list(entries(os.path.join(root, name))))]
            print(json.dumps({"set": name, "owner": info["owner"], "points": points}))
        return
    if command == "batches":
        for _, _, end, data in shares(root, sys.argv[3], int(sys.argv[4])):
            for batch in batches(data):
                if struct.unpack(">q", batch[:8])[0] < end:
                    sys.stdout.buffer.write(batch)
        return
    for topic, partition in live_partitions(root):
        for offset, time, key, value, headers in committed(root, topic, partition):
            listed = [[name.decode(), text(content)] for name, content in headers]
            record = {"offset": offset, "timestamp": time, "key": text(key), "value": text(value), "headers": listed}
            print(json.dumps({"topic": topic, "partition": partition, **record}))


main()
