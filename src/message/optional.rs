//! Settings that may be left empty: `""` in a configuration file is `None` in the type.
//!
//! Every key has a value that way, so that a listing of the configuration is complete and an unknown key can be told.
//! Use with `#[serde(with = "crate::message::optional")]`.

use serde::de::value::StringDeserializer;
use serde::de::{Deserialize, Deserializer, IntoDeserializer};
use serde::ser::{Serialize, Serializer};

/// Writes `None` as an empty text.
pub fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

/// Reads an empty text as `None`. Errors: those of `T`.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: for<'a> Deserialize<'a>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let inner: StringDeserializer<D::Error> = text.into_deserializer();
    T::deserialize(inner).map(Some)
}
