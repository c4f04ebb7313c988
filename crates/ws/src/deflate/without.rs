//! In the place of the codec where the feature `deflate` is off: types that have no value.

use alloc::vec::Vec;

use super::{Corrupt, WindowBits};

pub(crate) enum Inflater {}

impl Inflater {
    pub(crate) fn step(&mut self, _: &mut &[u8], _: usize) -> Result<Option<&[u8]>, Corrupt> {
        match *self {}
    }

    pub(crate) fn finish(&mut self) -> Result<(), Corrupt> {
        match *self {}
    }
}

pub(crate) enum Deflater {}

impl Deflater {
    pub(crate) fn wants(&self, _: usize) -> bool {
        match *self {}
    }

    pub(crate) fn window(&self) -> WindowBits {
        match *self {}
    }

    pub(crate) fn compress(&mut self, _: &[u8], _: bool, _: impl FnOnce(&mut Vec<u8>)) {
        match *self {}
    }

    pub(crate) fn forget(&mut self) {
        match *self {}
    }
}
