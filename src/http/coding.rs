//! Content and transfer codings of bodies: gzip, deflate and zstd. RFC 9110 8.4, RFC 9112 7.
//!
//! Requests are decoded in one place, [`read_body`](super::read_body), and answers of other servers in another, the
//! [`Client`](super::Client).

use std::io::{self, Read};

use axum::http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName};
use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

/// The codings that can be decoded, as a value of `Accept-Encoding`.
pub(crate) const ACCEPTED: &str = "gzip, deflate, zstd";

/// Maximum number of codings of one body.
const CODINGS_MAX: usize = 4;

/// Maximum window of zstd, as a power of 2: the 8 MiB that every decoder has to support. RFC 9659 3.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes of deflate that are decoded at a time.
const INFLATED_BYTES: usize = 64 * 1024;

/// A coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Zstd,
}

/// The reason why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodingError {
    /// The coding is not one of [`ACCEPTED`].
    #[error("{header} is {value:?}, expected one of {ACCEPTED}")]
    Unknown {
        /// The header.
        header: HeaderName,
        /// Its value.
        value: String,
    },
    /// The decoded body is too large.
    #[error("the decoded body is over the limit of {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The bytes are not of their coding.
    #[error("the body is not valid {coding}: {cause}")]
    Malformed {
        /// The coding.
        coding: &'static str,
        /// The cause.
        cause: io::Error,
    },
}

/// The codings of a body, in the order in which they were applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Codings(Vec<Coding>);

impl Codings {
    /// Parses the headers of a message. `chunked` is none, because the connection has undone it.
    /// Errors: [`CodingError::Unknown`].
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, CodingError> {
        let mut codings = Vec::new();
        for header in [CONTENT_ENCODING, TRANSFER_ENCODING] {
            for value in headers.get_all(&header) {
                if header == TRANSFER_ENCODING && value == "chunked" {
                    continue;
                }
                let text = String::from_utf8_lossy(value.as_bytes());
                for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    let unknown =
                        || CodingError::Unknown { header: header.clone(), value: text.chars().take(80).collect() };
                    match name.to_ascii_lowercase().as_str() {
                        "identity" if header == CONTENT_ENCODING => {}
                        "chunked" if header == TRANSFER_ENCODING => {}
                        "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                        "deflate" => codings.push(Coding::Deflate),
                        "zstd" => codings.push(Coding::Zstd),
                        _ => return Err(unknown()),
                    }
                    if codings.len() > CODINGS_MAX {
                        return Err(unknown());
                    }
                }
            }
        }
        Ok(Self(codings))
    }

    /// Returns true if there is nothing to decode.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decodes a body to at most `bytes_max` bytes, on a thread for work that takes its time. A body without codings is
    /// returned as it is. Errors: [`CodingError::TooLarge`], [`CodingError::Malformed`]. A dropped call decodes to the end.
    pub(crate) async fn decode(self, body: Bytes, bytes_max: usize) -> Result<Bytes, CodingError> {
        if self.is_empty() {
            return Ok(body);
        }
        let decoding = move || self.0.iter().rev().try_fold(body, |body, coding| coding.decode(body, bytes_max));
        match tokio::task::spawn_blocking(decoding).await {
            Ok(decoded) => decoded,
            Err(error) => Err(CodingError::Malformed { coding: ACCEPTED, cause: io::Error::other(error) }),
        }
    }
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    fn decode(self, body: Bytes, bytes_max: usize) -> Result<Bytes, CodingError> {
        // A body of no bytes is no content in any coding: browsers and servers send it so.
        if body.is_empty() {
            return Ok(body);
        }
        let decoded = match self {
            Self::Gzip => read(MultiGzDecoder::new(body.reader()), bytes_max),
            Self::Deflate => inflate(&body, bytes_max),
            Self::Zstd => zstd::Decoder::with_buffer(body.reader()).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                read(decoder, bytes_max)
            }),
        };
        let decoded = decoded.map_err(|cause| CodingError::Malformed { coding: self.name(), cause })?;
        match decoded.len() > bytes_max {
            true => Err(CodingError::TooLarge { bytes_max }),
            false => Ok(decoded.into()),
        }
    }
}

/// Reads at most one byte more than `bytes_max`.
fn read(decoder: impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    decoder.take(bytes_max as u64 + 1).read_to_end(&mut decoded)?;
    Ok(decoded)
}

/// Decodes until there is more than `bytes_max`. The standard says zlib, and some clients leave its frame out.
/// RFC 9110 8.4.1.2.
fn inflate(body: &[u8], bytes_max: usize) -> io::Result<Vec<u8>> {
    let (mut decoder, mut decoded) = (Decompress::new(is_zlib(body)), Vec::new());
    loop {
        let before = (decoder.total_in(), decoded.len());
        decoded.reserve(INFLATED_BYTES);
        let rest = body.get(decoder.total_in() as usize..).unwrap_or_default();
        let status = decoder.decompress_vec(rest, &mut decoded, FlushDecompress::None)?;
        if decoded.len() > bytes_max {
            return Ok(decoded);
        }
        let is_read = decoder.total_in() == body.len() as u64;
        match status {
            Status::StreamEnd if is_read => return Ok(decoded),
            Status::StreamEnd => return Err(io::Error::new(io::ErrorKind::InvalidData, "something follows its end")),
            Status::Ok | Status::BufError if before == (decoder.total_in(), decoded.len()) => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Returns true if the bytes begin with the header of zlib. RFC 1950 2.2.
fn is_zlib(body: &[u8]) -> bool {
    let [method, flags, ..] = body else { return false };
    method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"{\"name\":\"world\"}";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    fn deflate(bytes: &[u8]) -> (Bytes, Bytes) {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(bytes).unwrap();
        raw.write_all(bytes).unwrap();
        (zlib.finish().unwrap().into(), raw.finish().unwrap().into())
    }

    fn zstd(bytes: &[u8]) -> Bytes {
        ::zstd::encode_all(bytes, 1).unwrap().into()
    }

    async fn decode(pairs: &[(HeaderName, &str)], body: Bytes, bytes_max: usize) -> Result<Bytes, CodingError> {
        Codings::of(&headers(pairs))?.decode(body, bytes_max).await
    }

    #[tokio::test]
    async fn each_coding_is_undone_and_so_are_several() {
        let (zlib, raw) = deflate(TEXT);
        for (pairs, body) in [
            (vec![], Bytes::from_static(TEXT)),
            (vec![(CONTENT_ENCODING, "identity")], Bytes::from_static(TEXT)),
            (vec![(CONTENT_ENCODING, "gzip")], gzip(TEXT)),
            (vec![(CONTENT_ENCODING, " X-GZIP ")], gzip(TEXT)),
            (vec![(CONTENT_ENCODING, "gzip")], [gzip(&TEXT[..5]), gzip(&TEXT[5..])].concat().into()),
            (vec![(CONTENT_ENCODING, "deflate")], zlib),
            (vec![(CONTENT_ENCODING, "deflate")], raw),
            (vec![(CONTENT_ENCODING, "zstd")], zstd(TEXT)),
            (vec![(CONTENT_ENCODING, "gzip, zstd")], zstd(&gzip(TEXT))),
            (vec![(CONTENT_ENCODING, "gzip"), (CONTENT_ENCODING, "zstd")], zstd(&gzip(TEXT))),
            (vec![(TRANSFER_ENCODING, "chunked")], Bytes::from_static(TEXT)),
            (vec![(TRANSFER_ENCODING, "gzip, chunked")], gzip(TEXT)),
            (vec![(CONTENT_ENCODING, "zstd"), (TRANSFER_ENCODING, "gzip, chunked")], gzip(&zstd(TEXT))),
        ] {
            assert_eq!(decode(&pairs, body, 1000).await.unwrap(), TEXT, "{pairs:?}");
        }
        assert!(decode(&[(CONTENT_ENCODING, "gzip")], Bytes::new(), 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn other_codings_are_refused() {
        for value in ["br", "compress", "gzip, br", "chunked", "gzip,gzip,gzip,gzip,gzip", "zip\u{e4}"] {
            let refused = Codings::of(&headers(&[(CONTENT_ENCODING, value)])).unwrap_err();
            assert!(refused.to_string().ends_with("expected one of gzip, deflate, zstd"), "{refused}");
        }
        assert!(Codings::of(&headers(&[(TRANSFER_ENCODING, "br, chunked")])).is_err());
    }

    #[tokio::test]
    async fn a_small_body_that_becomes_a_large_one_is_cut_off() {
        let large = vec![b' '; 10_000_000];
        for (coding, body) in [("gzip", gzip(&large)), ("deflate", deflate(&large).0), ("zstd", zstd(&large))] {
            assert!(body.len() < 100_000, "{coding}");
            let refused = decode(&[(CONTENT_ENCODING, coding)], body, 100_000).await.unwrap_err();
            assert_eq!(refused.to_string(), "the decoded body is over the limit of 100000 bytes", "{coding}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_or_not_of_its_coding_is_refused() {
        for (coding, body) in [("gzip", gzip(TEXT)), ("deflate", deflate(TEXT).0), ("zstd", zstd(TEXT))] {
            for body in [body.slice(..body.len() - 1), body.slice(..body.len() / 2), Bytes::from_static(b"{\"a\":1}")] {
                let refused = decode(&[(CONTENT_ENCODING, coding)], body, 1000).await.unwrap_err();
                assert!(refused.to_string().starts_with(&format!("the body is not valid {coding}")), "{refused}");
            }
        }
    }
}
