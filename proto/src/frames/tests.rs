use super::*;
use crate::v1::{StopTask, TaskCommand, task_command::Command};

fn stop(reason: String) -> TaskCommand {
    TaskCommand { task: "demo.pretrain/0/1".to_owned(), command: Some(Command::Stop(StopTask { reason })) }
}

fn written(messages: &[TaskCommand]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = BlockingWriter::new(&mut bytes);
    for message in messages {
        writer.write(message).unwrap();
    }
    bytes
}

/// Hands out one byte at a time, as a slow pipe does.
struct Trickle<'a>(&'a [u8]);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let wanted = out.len().min(1);
        std::io::Read::read(&mut self.0, &mut out[..wanted])
    }
}

#[test]
fn a_blocking_reader_puts_split_frames_together() {
    let sent = [stop("one".to_owned()), stop("x".repeat(20_000)), stop(String::new())];
    let bytes = written(&sent);
    let mut reader = BlockingReader::new(Trickle(&bytes));
    for message in &sent {
        assert_eq!(reader.read::<TaskCommand>().unwrap().as_ref(), Some(message));
    }
    assert!(reader.read::<TaskCommand>().unwrap().is_none());
}

#[tokio::test]
async fn both_ends_speak_the_same_frames() {
    let (near, far) = tokio::io::duplex(64);
    let sending = tokio::spawn(async move {
        let mut writer = FrameWriter::new(near);
        for number in 0..100 {
            writer.write(&stop(number.to_string())).await.unwrap();
        }
    });
    let mut reader = FrameReader::new(far);
    for number in 0..100 {
        assert_eq!(reader.read::<TaskCommand>().await.unwrap(), Some(stop(number.to_string())));
    }
    assert!(reader.read::<TaskCommand>().await.unwrap().is_none());
    sending.await.unwrap();

    let bytes = written(&[stop("from a task".to_owned())]);
    let mut reader = FrameReader::new(bytes.as_slice());
    assert_eq!(reader.read::<TaskCommand>().await.unwrap(), Some(stop("from a task".to_owned())));
}

#[tokio::test]
async fn a_pipe_that_ends_inside_a_frame_is_an_error_on_both_ends() {
    let bytes = written(&[stop("cut".to_owned())]);
    let torn = &bytes[..bytes.len() - 1];
    assert!(matches!(BlockingReader::new(torn).read::<TaskCommand>(), Err(FrameError::Pipe(_))));
    assert!(matches!(FrameReader::new(torn).read::<TaskCommand>().await, Err(FrameError::Pipe(_))));
}

#[test]
fn a_frame_that_claims_to_be_huge_is_refused_before_it_is_read() {
    let claim = u32::MAX.to_be_bytes();
    assert!(matches!(BlockingReader::new(&claim[..]).read::<TaskCommand>(), Err(FrameError::Pipe(_))));
    let mut nothing = Vec::new();
    let oversized = stop("x".repeat(FRAME_MAX));
    assert!(BlockingWriter::new(&mut nothing).write(&oversized).is_err());
    assert!(nothing.is_empty());
}

#[test]
fn a_frame_of_noise_is_an_error() {
    let bytes = [0, 0, 0, 3, 0xff, 0xff, 0xff];
    let error = BlockingReader::new(&bytes[..]).read::<TaskCommand>().unwrap_err();
    assert!(matches!(error, FrameError::Decode { length: 3, .. }), "{error}");
}
