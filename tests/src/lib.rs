//! Cross-crate scenarios and the bodies of the fuzz targets.
