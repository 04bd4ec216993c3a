"""A certificate authority that exists as long as the sandbox runs, and the sandbox's own certificate."""

import ipaddress
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: The file that clients must trust.
AUTHORITY = "ca.pem"
PROTOCOLS = ["h2", "http/1.1"]
LIFE = timedelta(days=30)
#: For clocks that are a little behind.
EARLIER = timedelta(minutes=5)


def context(folder: Path, host: str) -> ssl.SSLContext:
    """How to serve TLS at `host`, at localhost and at 127.0.0.1; writes the authority's certificate into `folder`."""
    now, authority_key, own_key = datetime.now(timezone.utc), _new_key(), _new_key()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "HIGO push sandbox authority")])
    authority = _certificate(issuer, issuer, authority_key, now, is_authority=True).sign(authority_key, hashes.SHA256())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "HIGO push sandbox")])
    own = (
        _certificate(subject, issuer, own_key, now, is_authority=False)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (folder / AUTHORITY).write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    found.set_alpn_protocols(PROTOCOLS)
    chain = folder / "own.pem"
    chain.touch(mode=0o600)
    chain.write_bytes(own.public_bytes(serialization.Encoding.PEM) + _pem(own_key))
    found.load_cert_chain(chain)
    chain.unlink()
    return found


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, *, is_authority: bool
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _names(host: str) -> list[x509.GeneralName]:
    names = {"localhost", "127.0.0.1", "::1", host}
    return [_name(name) for name in sorted(names)]


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
