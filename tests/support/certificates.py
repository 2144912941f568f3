"""Certificates for the tests' own servers on localhost, of an authority that only the tests trust."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    authority: Path
    """What a client trusts."""
    chain: Path
    key: Path


def issue(directory: Path) -> Certificates:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificates = Certificates(directory / "authority.pem", directory / "chain.pem", directory / "key.pem")
    authority.cert_pem.write_to_path(certificates.authority)
    certificate.cert_chain_pems[0].write_to_path(certificates.chain)
    certificate.private_key_pem.write_to_path(certificates.key)
    return certificates
