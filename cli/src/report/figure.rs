//! Images and masks in the page: pixels as PNG inside the page, outlines as vectors over them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vismae_shards::frame::{Frame, Pixels};

use super::ReportError;

/// An image as a `data:` URI of a greyscale PNG with 8 bits.
pub(super) fn data_uri(frame: &Frame) -> Result<String, ReportError> {
    let levels: Vec<u8> = match frame.pixels() {
        Pixels::Gray8(levels) => levels.clone(),
        Pixels::Gray16(levels) => levels.iter().map(|level| (level >> 8) as u8).collect(),
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, frame.width(), frame.height());
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&levels)?;
    writer.finish()?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(uri: &str) -> (png::OutputInfo, Vec<u8>) {
        let bytes = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut levels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut levels).unwrap();
        (info, levels)
    }

    #[test]
    fn a_frame_of_either_depth_comes_back_from_its_uri() {
        let (info, levels) = decoded(&data_uri(&Frame::gray8(3, 1, vec![0, 7, 255]).unwrap()).unwrap());
        assert_eq!((info.width, info.height, levels), (3, 1, vec![0, 7, 255]));
        let deep = Frame::new(2, 1, Pixels::Gray16(vec![0, 65_535])).unwrap();
        assert_eq!(decoded(&data_uri(&deep).unwrap()).1, [0, 255]);
    }
}
