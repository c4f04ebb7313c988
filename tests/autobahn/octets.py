"""Copied into the Autobahn Testsuite by `convert.py`: octet strings as `str` of the characters 0 to 255."""

import binascii
import hashlib


def octets(string):
    return string.encode("latin-1") if isinstance(string, str) else string


def text(data):
    return bytes(data).decode("latin-1") if isinstance(data, (bytes, bytearray, memoryview)) else data


def b2a_hex(data):
    return binascii.b2a_hex(octets(data)).decode("ascii")


def a2b_hex(data):
    return text(binascii.a2b_hex(octets(data)))


hexlify, unhexlify = b2a_hex, a2b_hex


def encode(string):
    return text(string.encode("utf-8"))


def decode(data, *arguments, **keywords):
    return octets(data).decode("utf-8", *arguments, **keywords)


class sha1:
    def __init__(self):
        self.hash = hashlib.sha1()

    def update(self, data):
        self.hash.update(octets(data))

    def digest(self):
        return text(self.hash.digest())


class Boundary:
    """The first base class of the fuzzing protocols: bytes towards Autobahn, octet strings towards the suite."""

    def sendFrame(self, opcode, payload="", *arguments, **keywords):
        if "mask" in keywords:
            keywords["mask"] = octets(keywords["mask"])
        return super().sendFrame(opcode, octets(payload), *arguments, **keywords)

    def sendMessage(self, payload, *arguments, **keywords):
        return super().sendMessage(octets(payload), *arguments, **keywords)

    def sendMessageFrameData(self, payload, *arguments, **keywords):
        return super().sendMessageFrameData(octets(payload), *arguments, **keywords)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        return super().sendCloseFrame(code, octets(reasonUtf8), isReply)

    def sendPing(self, payload=None):
        return super().sendPing(octets(payload))

    def sendPong(self, payload=None):
        return super().sendPong(octets(payload))

    def _onMessage(self, payload, isBinary):
        self.onMessage(text(payload), isBinary)

    def _onPing(self, payload):
        self.onPing(text(payload))

    def _onPong(self, payload):
        self.onPong(text(payload))
