//! Content on its way between two tasks, or two parts of one.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use drywire_core::Bytes;
use http::HeaderMap;

use super::BodyError;

/// The queue between one writer and one reader. It takes pieces until they reach its limit.
#[derive(Debug)]
pub(super) struct Pipe(Mutex<State>);

#[derive(Debug)]
struct State {
    pieces: VecDeque<Bytes>,
    /// The sum of their lengths.
    buffered: usize,
    limit: usize,
    /// What follows the last piece.
    end: Option<Result<Option<HeaderMap>, BodyError>>,
    /// The reader has looked for content that had not come.
    is_wanted: bool,
    reader_is_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What a reader gets next.
pub(super) enum Item {
    Piece(Bytes),
    End(Option<HeaderMap>),
}

/// How a writer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is room, and the reader waits.
    Wanted,
    /// There is room.
    Free,
    /// Nobody reads any more.
    Gone,
}

impl Pipe {
    pub(super) fn new(limit: usize) -> Self {
        Self(Mutex::new(State {
            pieces: VecDeque::new(),
            buffered: 0,
            limit,
            end: None,
            is_wanted: false,
            reader_is_gone: false,
            reader: None,
            writer: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the queue whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<Item, BodyError>> {
        let mut state = self.lock();
        if let Some(piece) = state.pieces.pop_front() {
            let was_full = state.buffered >= state.limit;
            state.buffered -= piece.len();
            let writer = if was_full && state.buffered < state.limit { state.writer.take() } else { None };
            drop(state);
            wake(writer);
            return Poll::Ready(Ok(Item::Piece(piece)));
        }
        match state.end.as_mut() {
            Some(Ok(trailers)) => return Poll::Ready(Ok(Item::End(trailers.take()))),
            Some(Err(error)) => return Poll::Ready(Err(*error)),
            None => {}
        }
        // A client that waits for 100 (Continue) is told to go on.
        let writer = if state.is_wanted { None } else { state.writer.take() };
        state.is_wanted = true;
        set(&mut state.reader, cx);
        drop(state);
        wake(writer);
        Poll::Pending
    }

    /// Whether the end has come with nothing in front of it.
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && matches!(state.end, Some(Ok(None)))
    }

    pub(super) fn drop_reader(&self) {
        let mut state = self.lock();
        state.reader_is_gone = true;
        state.buffered = 0;
        let pieces = std::mem::take(&mut state.pieces);
        let writer = state.writer.take();
        drop(state);
        drop(pieces);
        wake(writer);
    }

    /// Waits for room. Registers the wake for news of the reader in any case but [`Room::Gone`].
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Room> {
        let mut state = self.lock();
        if state.reader_is_gone {
            return Poll::Ready(Room::Gone);
        }
        set(&mut state.writer, cx);
        if state.buffered >= state.limit {
            return Poll::Pending;
        }
        Poll::Ready(if state.is_wanted { Room::Wanted } else { Room::Free })
    }

    /// Adds a piece, whether there is room or not.
    pub(super) fn push(&self, piece: Bytes) {
        let mut state = self.lock();
        if state.reader_is_gone || state.end.is_some() || piece.is_empty() {
            return;
        }
        state.buffered += piece.len();
        state.pieces.push_back(piece);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// Ends the content; later ends do not count.
    pub(super) fn finish(&self, end: Result<Option<HeaderMap>, BodyError>) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }
}

fn set(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(known) => known.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Outside the lock: a waker may do anything.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
