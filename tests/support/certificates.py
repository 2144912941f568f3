"""Certificates for servers of the tests on localhost, of an authority that only the tests trust."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    authority: Path
    """The certificate that a client must trust."""
    chain: Path
    key: Path


def issue(directory: Path) -> Certificates:
    """Write a new authority, and a certificate for localhost, to the directory."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificates = Certificates(directory / "authority.pem", directory / "chain.pem", directory / "key.pem")
    authority.cert_pem.write_to_path(certificates.authority)
    certificate.cert_chain_pems[0].write_to_path(certificates.chain)
    certificate.private_key_pem.write_to_path(certificates.key)
    return certificates
