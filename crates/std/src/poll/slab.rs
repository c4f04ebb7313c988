//! The connections of a loop, found by their handles.

/// Names a connection of a [`Loop`](super::Loop). Once the connection is over the name stands for nothing, also after
/// its place was given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionHandle {
    pub(super) index: u32,
    generation: u32,
}

/// Values in places that are used again, each time under another name.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// A place without a value yet, to be filled or freed.
    pub(super) fn reserve(&mut self) -> ConnectionHandle {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, value: None });
            self.entries.len() as u32 - 1
        });
        ConnectionHandle { index, generation: self.entries[index as usize].generation }
    }

    pub(super) fn fill(&mut self, handle: ConnectionHandle, value: T) {
        if let Some(entry) = self.entry_mut(handle) {
            entry.value = Some(value);
        }
    }

    /// Takes the value out, if the handle still has a place. The place is free from here on.
    pub(super) fn free(&mut self, handle: ConnectionHandle) -> Option<T> {
        let entry = self.entry_mut(handle)?;
        entry.generation = entry.generation.wrapping_add(1);
        let value = entry.value.take();
        self.free.push(handle.index);
        value
    }

    pub(super) fn get(&self, handle: ConnectionHandle) -> Option<&T> {
        let entry = self.entries.get(handle.index as usize)?;
        entry.value.as_ref().filter(|_| entry.generation == handle.generation)
    }

    pub(super) fn get_mut(&mut self, handle: ConnectionHandle) -> Option<&mut T> {
        self.entry_mut(handle)?.value.as_mut()
    }

    /// Who has a place now.
    pub(super) fn handle_at(&self, index: u32) -> Option<ConnectionHandle> {
        let entry = self.entries.get(index as usize)?;
        Some(ConnectionHandle { index, generation: entry.generation })
    }

    pub(super) fn handles(&self) -> impl Iterator<Item = ConnectionHandle> + '_ {
        let taken = self.entries.iter().enumerate().filter(|(_, entry)| entry.value.is_some());
        taken.map(|(index, entry)| ConnectionHandle { index: index as u32, generation: entry.generation })
    }

    /// How many places are filled or reserved.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn entry_mut(&mut self, handle: ConnectionHandle) -> Option<&mut Entry<T>> {
        self.entries.get_mut(handle.index as usize).filter(|entry| entry.generation == handle.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_finds_nothing() {
        let mut slab = Slab::new();
        let (one, two) = (slab.reserve(), slab.reserve());
        slab.fill(one, 'a');
        assert_eq!((slab.get(one), slab.get(two), slab.len()), (Some(&'a'), None, 2));
        assert_eq!(slab.free(one), Some('a'));
        let three = slab.reserve();
        assert_eq!(three.index, one.index);
        slab.fill(three, 'c');
        slab.fill(one, 'x');
        assert!(slab.get(one).is_none() && slab.get_mut(one).is_none() && slab.free(one).is_none());
        assert_eq!((slab.get(three), slab.handle_at(three.index)), (Some(&'c'), Some(three)));
        assert!(slab.free(two).is_none() && slab.free(two).is_none());
        assert_eq!(slab.len(), 1);
        assert_eq!(slab.handles().collect::<Vec<_>>(), [three]);
    }
}
