//! Certificates and keys in files that the command line names.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use drywire::tls::{Identity, Roots};

use crate::Failure;

/// The certificates of a PEM file, to be trusted.
pub(crate) fn roots(path: &Path) -> Result<Roots, Failure> {
    Roots::from_pem(&read(path)?).map_err(|why| unusable(path, &why))
}

/// A certificate and its private key.
pub(crate) fn identity(cert: &Path, key: &Path) -> Result<Identity, Failure> {
    let (chain, private) = (read(cert)?, read(key)?);
    // Which of the two it is shows by what is read from it alone.
    Roots::from_pem(&chain).map_err(|why| unusable(cert, &why))?;
    Identity::from_pem(&chain, &private).map_err(|why| unusable(key, &why))
}

/// What rustls says of certificates that could be read.
pub(crate) fn refused(why: impl Display) -> Failure {
    Failure::usage(format_args!("the certificate cannot be used: {why}"))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, why: &dyn Display) -> Failure {
    Failure::usage(format_args!("{}: {why}", path.display()))
}
