//! The end of the pipe that a thread waits on.

use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use prost::Message;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

use super::{FrameError, codec, decode};

/// Bytes asked of the pipe at once; a longer frame takes more than one read.
const CHUNK: usize = 8 << 10;

/// Writes messages to a blocking pipe.
#[derive(Debug)]
pub struct BlockingWriter<W> {
    pipe: W,
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
}

impl<W: Write> BlockingWriter<W> {
    /// A writer that owns the pipe.
    pub fn new(pipe: W) -> Self {
        Self { pipe, codec: codec(), buffer: BytesMut::new() }
    }

    /// Writes one message and flushes it.
    ///
    /// # Errors
    /// [`FrameError::Pipe`].
    pub fn write<M: Message>(&mut self, message: &M) -> Result<(), FrameError> {
        self.buffer.clear();
        self.codec.encode(Bytes::from(message.encode_to_vec()), &mut self.buffer).map_err(FrameError::Pipe)?;
        self.pipe.write_all(&self.buffer).and_then(|()| self.pipe.flush()).map_err(FrameError::Pipe)
    }
}

/// Reads messages from a blocking pipe.
#[derive(Debug)]
pub struct BlockingReader<R> {
    pipe: R,
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
}

impl<R: Read> BlockingReader<R> {
    /// A reader that owns the pipe.
    pub fn new(pipe: R) -> Self {
        Self { pipe, codec: codec(), buffer: BytesMut::new() }
    }

    /// Waits for the next message; `None` when the pipe ended after a whole frame.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read<M: Message + Default>(&mut self) -> Result<Option<M>, FrameError> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some(frame) = self.codec.decode(&mut self.buffer).map_err(FrameError::Pipe)? {
                return decode(&frame).map(Some);
            }
            match self.pipe.read(&mut chunk) {
                Ok(0) => {
                    return match self.codec.decode_eof(&mut self.buffer).map_err(FrameError::Pipe)? {
                        Some(frame) => decode(&frame).map(Some),
                        None => Ok(None),
                    };
                }
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FrameError::Pipe(error)),
            }
        }
    }
}
