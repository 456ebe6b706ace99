"""ASN.1 is read in one form only: whatever else stands for the same value is refused."""

from datetime import UTC, datetime

import pytest

from gobuild.binary.view import Malformed
from gobuild.codesign import der

VALUE = bytes.fromhex("3009 06032a0304 020201f4")


@pytest.mark.parametrize(
    "data",
    [
        "3081 09 06032a0304 020201f4",  # a length in two bytes that needs one
        "3082 0009 06032a0304 020201f4",
        "3080 06032a0304 020201f4 0000",  # a length that is left open
        "0280 01 0000",
        "3009 06032a0304 020201f4 00",  # something behind it
        "300a 06032a0304 020201f4",  # cut off
        "30",
        "3004 06032a03",
        "308501000000 00",
        "1f01 00",  # a tag in the long form
    ],
)
def test_only_der_is_read(data: str) -> None:
    with pytest.raises(Malformed):
        der.parse_der(bytes.fromhex(data))


def test_nesting_has_an_end() -> None:
    value = b"\x05\0"
    for _ in range(40):
        value = der.encode(der.SEQUENCE, value)
    with pytest.raises(Malformed, match="nested too deeply"):
        der.parse_der(value)


def test_ber_is_read_as_the_der_that_it_stands_for() -> None:
    assert der.parse_der(VALUE).encoded == VALUE
    for form in ("30810a 0681032a0304 020201f4", "3080 06032a0304 020201f4 0000"):
        assert der.parse_ber(bytes.fromhex(form)).encoded == VALUE
    long = der.encode(der.OCTET_STRING, bytes(300))
    assert long[:4] == bytes.fromhex("0482012c")
    assert der.parse_der(long).octets() == bytes(300)


def test_object_identifiers() -> None:
    oid, number = der.parse_der(VALUE).members()
    assert (oid.oid(), number.octets(der.INTEGER)) == ("1.2.3.4", b"\x01\xf4")
    assert der.dotted(bytes.fromhex("2a864886f70d010702")) == "1.2.840.113549.1.7.2"
    assert der.dotted(bytes.fromhex("883703")) == "2.999.3"
    for wrong in ("", "2a80", "2a8003"):
        with pytest.raises(Malformed):
            der.dotted(bytes.fromhex(wrong))
    with pytest.raises(Malformed, match="tag 0x6 where 0x2 should be"):
        oid.octets(der.INTEGER)


def test_times() -> None:
    for tag, text, micro in (
        (der.UTC_TIME, "241127205131Z", 0),
        (der.GENERALIZED_TIME, "20241127205131Z", 0),
        (der.GENERALIZED_TIME, "20241127205131.5Z", 500_000),
    ):
        time = der.parse_der(der.encode(tag, text.encode())).time()
        assert time == datetime(2024, 11, 27, 20, 51, 31, micro, tzinfo=UTC)
