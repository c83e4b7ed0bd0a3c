//! Messages on a pipe: each is a length of four bytes, big-endian, and that many bytes of protobuf.
//!
//! An agent speaks to its task processes this way over their standard input and output. The agent's end is asynchronous,
//! the task's end blocks; both use the same codec.

mod blocking;

pub use blocking::{BlockingReader, BlockingWriter};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// The longest frame either side accepts, in bytes. The longest honest message is a job's specification, a few kilobytes.
pub const FRAME_MAX: usize = 4 << 20;

/// Why a message could not be passed on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The pipe broke, ended inside a frame, or carries a frame longer than [`FRAME_MAX`].
    #[error("the pipe is broken: {0}")]
    Pipe(#[source] std::io::Error),
    /// A frame does not hold the message expected.
    #[error("a frame of {length} bytes does not hold the message expected: {source}")]
    Decode {
        /// Its length.
        length: usize,
        /// What is wrong with it.
        source: prost::DecodeError,
    },
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(FRAME_MAX).new_codec()
}

fn decode<M: Message + Default>(frame: &[u8]) -> Result<M, FrameError> {
    M::decode(frame).map_err(|source| FrameError::Decode { length: frame.len(), source })
}

/// Writes messages to an asynchronous pipe.
#[derive(Debug)]
pub struct FrameWriter<W> {
    sink: FramedWrite<W, LengthDelimitedCodec>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// A writer that owns the pipe.
    pub fn new(pipe: W) -> Self {
        Self { sink: FramedWrite::new(pipe, codec()) }
    }

    /// Writes one message and flushes it.
    ///
    /// # Errors
    /// [`FrameError::Pipe`].
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped write may leave half a frame behind.
    pub async fn write<M: Message>(&mut self, message: &M) -> Result<(), FrameError> {
        self.sink.send(Bytes::from(message.encode_to_vec())).await.map_err(FrameError::Pipe)
    }
}

/// Reads messages from an asynchronous pipe.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: FramedRead<R, LengthDelimitedCodec>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader that owns the pipe.
    pub fn new(pipe: R) -> Self {
        Self { stream: FramedRead::new(pipe, codec()) }
    }

    /// Reads the next message; `None` when the pipe ended after a whole frame.
    ///
    /// # Errors
    /// [`FrameError`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn read<M: Message + Default>(&mut self) -> Result<Option<M>, FrameError> {
        match self.stream.next().await {
            None => Ok(None),
            Some(Err(error)) => Err(FrameError::Pipe(error)),
            Some(Ok(frame)) => decode(&frame).map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
