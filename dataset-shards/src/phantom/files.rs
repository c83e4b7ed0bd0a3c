//! Computed images in the formats of the real world, DICOM apart.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma};
use ndarray::{Array3, ShapeBuilder};
use nifti::NiftiHeader;
use nifti::writer::WriterOptions;

use super::PhantomError;
use super::plane::Plane;

/// Quality of JPEG files: high, so that speckle survives.
const JPEG_QUALITY: u8 = 92;

/// A folder that files are written under, by relative paths.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Creates the folder, which must be empty.
    pub(super) fn create(root: &Path) -> Result<Self, PhantomError> {
        let failed = |source| PhantomError::Write { path: root.display().to_string(), source };
        std::fs::create_dir_all(root).map_err(failed)?;
        match std::fs::read_dir(root).map_err(failed)?.next() {
            None => Ok(Self { root: root.to_owned() }),
            Some(_) => Err(PhantomError::NotEmpty { dir: root.display().to_string() }),
        }
    }

    /// Where a file goes; its folder exists.
    fn place(&self, file: &str) -> Result<PathBuf, PhantomError> {
        let path = self.root.join(file);
        let folder = path.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(folder).map_err(|source| PhantomError::Write { path: file.to_owned(), source })?;
        Ok(path)
    }

    /// Writes bytes; their number.
    pub(super) fn write(&self, file: &str, bytes: &[u8]) -> Result<u64, PhantomError> {
        let written = std::fs::write(self.place(file)?, bytes);
        written.map_err(|source| PhantomError::Write { path: file.to_owned(), source })?;
        Ok(bytes.len() as u64)
    }

    /// An image of levels in 0 to 1, as JPEG.
    pub(super) fn jpeg(&self, file: &str, plane: &Plane) -> Result<u64, PhantomError> {
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        let encoded = gray8(plane).write_with_encoder(encoder);
        encoded.map_err(|source| encode(file, "JPEG", source))?;
        self.write(file, &bytes)
    }

    /// An image of levels in 0 to 1, as PNG of 8 bits.
    pub(super) fn png8(&self, file: &str, plane: &Plane) -> Result<u64, PhantomError> {
        self.png(file, &gray8(plane))
    }

    /// An image of levels in 0 to 1, as PNG of 16 bits that uses 12, as detectors do.
    pub(super) fn png16(&self, file: &str, plane: &Plane) -> Result<u64, PhantomError> {
        self.png(
            file,
            &DynamicImage::ImageLuma16(square(plane, |at| Luma([(plane.values[at] * 4095.0).round() as u16]))),
        )
    }

    /// A mask, as PNG of 0 and 255.
    pub(super) fn mask(&self, file: &str, plane: &Plane) -> Result<u64, PhantomError> {
        self.png(file, &DynamicImage::ImageLuma8(square(plane, |at| Luma([plane.mask[at] * 255]))))
    }

    /// Planes along z as a NIfTI volume of rounded values.
    pub(super) fn volume(&self, file: &str, planes: &[Plane], spacing_mm: [f32; 3]) -> Result<u64, PhantomError> {
        let values = planes.iter().flat_map(|plane| plane.values.iter().map(|value| value.round() as i16));
        let array = stack(planes, values.collect(), file)?;
        self.nifti(file, spacing_mm, |options| options.write_nifti(&array))
    }

    /// The masks of planes along z as a NIfTI volume of classes.
    pub(super) fn labels(&self, file: &str, planes: &[Plane], spacing_mm: [f32; 3]) -> Result<u64, PhantomError> {
        let classes = planes.iter().flat_map(|plane| plane.mask.iter().copied());
        let array = stack(planes, classes.collect(), file)?;
        self.nifti(file, spacing_mm, |options| options.write_nifti(&array))
    }

    fn nifti(
        &self,
        file: &str,
        [x, y, z]: [f32; 3],
        write: impl FnOnce(&WriterOptions<'_>) -> nifti::Result<()>,
    ) -> Result<u64, PhantomError> {
        let header = NiftiHeader {
            pixdim: [1.0, x, y, z, 0.0, 0.0, 0.0, 0.0],
            // Millimetres.
            xyzt_units: 2,
            sform_code: 1,
            // Planes are drawn as DICOM stores them: to the patient's left and to the back.
            srow_x: [-x, 0.0, 0.0, 0.0],
            srow_y: [0.0, -y, 0.0, 0.0],
            srow_z: [0.0, 0.0, z, 0.0],
            ..NiftiHeader::default()
        };
        let path = self.place(file)?;
        write(&WriterOptions::new(&path).reference_header(&header)).map_err(|source| encode(file, "NIfTI", source))?;
        let written =
            std::fs::metadata(&path).map_err(|source| PhantomError::Write { path: file.to_owned(), source })?;
        Ok(written.len())
    }

    fn png(&self, file: &str, image: &DynamicImage) -> Result<u64, PhantomError> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).map_err(|source| encode(file, "PNG", source))?;
        self.write(file, bytes.get_ref())
    }
}

fn encode(
    file: &str,
    format: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PhantomError {
    PhantomError::Encode { path: file.to_owned(), format, source: source.into() }
}

/// Planes as an array of x, y and z, the first running fastest.
fn stack<T>(planes: &[Plane], values: Vec<T>, file: &str) -> Result<Array3<T>, PhantomError> {
    let size = planes.first().map_or(0, |plane| plane.size);
    Array3::from_shape_vec((size, size, planes.len()).f(), values).map_err(|source| encode(file, "NIfTI", source))
}

fn gray8(plane: &Plane) -> DynamicImage {
    DynamicImage::ImageLuma8(square(plane, |at| Luma([(plane.values[at] * 255.0).round() as u8])))
}

fn square<P: image::Pixel>(plane: &Plane, pixel: impl Fn(usize) -> P) -> ImageBuffer<P, Vec<P::Subpixel>> {
    let side = plane.size as u32;
    ImageBuffer::from_fn(side, side, |column, row| pixel(row as usize * plane.size + column as usize))
}
