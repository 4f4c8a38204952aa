//! Response bodies, webhook bodies and signatures.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::entry::KeyEntry;
use super::id::SubscriptionId;
use super::request::{Delivery, Terms};
use crate::message::path_segment;
use crate::streams::wire::{Offset, StreamPath};

/// The reason a stream is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinkType {
    /// It was linked by name.
    Explicit,
    /// The pattern matches it.
    Glob,
}

/// A linked stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamView {
    pub(crate) path: StreamPath,
    pub(crate) link_type: LinkType,
    /// The incarnation of the stream; `None` if it does not exist.
    pub(crate) log: Option<u64>,
    pub(crate) acked: Option<Offset>,
    pub(crate) tail: Offset,
    pub(crate) pending: bool,
}

/// A subscription as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionView {
    pub(crate) id: SubscriptionId,
    pub(crate) terms: Terms,
    /// One page of its streams.
    pub(crate) streams: Vec<StreamView>,
    /// The last path before the next page; `None` if there is none.
    pub(crate) next: Option<StreamPath>,
    pub(crate) created_ms: u64,
    /// True if the last attempt to deliver a wake failed.
    pub(crate) failed: bool,
    /// The name of the current signing key.
    pub(crate) kid: String,
}

/// A wake leased to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedView {
    pub(crate) wake_id: String,
    pub(crate) generation: u64,
    pub(crate) token: String,
    pub(crate) streams: Vec<StreamView>,
    pub(crate) lease_ttl_ms: u64,
}

/// A wake as the receiver of a webhook sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WakeView {
    pub(crate) id: SubscriptionId,
    pub(crate) wake_id: String,
    pub(crate) generation: u64,
    pub(crate) token: String,
    /// Path of the root of all streams.
    pub(crate) mount: String,
    pub(crate) streams: Vec<StreamView>,
}

/// The event of a wake in a wake stream.
#[derive(Debug, Serialize)]
pub(crate) struct WakeEvent<'a> {
    pub(crate) r#type: &'static str,
    pub(crate) subscription_id: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) generation: u64,
    pub(crate) ts: u64,
}

/// The public keys that verify signatures.
pub(crate) struct JwksView(pub(crate) Vec<(String, KeyEntry)>);

impl SubscriptionView {
    /// Returns the response body. `base` is the root URL of all streams, and needed only by those with a webhook.
    pub(crate) fn to_json(&self, base: &str) -> Value {
        let streams: Vec<Value> = self.streams.iter().map(StreamView::summary).collect();
        let id = self.id.as_str();
        let mut value = json!({
            "id": id,
            "subscription_id": id,
            "streams": streams,
            "lease_ttl_ms": self.terms.lease_ttl_ms,
            "created_at": humantime::format_rfc3339_millis(
                std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.created_ms)
            ).to_string(),
            "status": if self.failed { "failed" } else { "active" },
        });
        let more = match &self.terms.delivery {
            Delivery::Webhook { url } => {
                let signing = json!({"alg": "ed25519", "kid": self.kid, "jwks_url": format!("{base}/__ds/jwks.json")});
                [("type", json!("webhook")), ("webhook", json!({"url": url, "signing": signing}))]
            }
            Delivery::PullWake { stream } => [("type", json!("pull-wake")), ("wake_stream", json!(stream.as_str()))],
        };
        let pattern = self.terms.pattern.as_ref().map(|pattern| ("pattern", json!(pattern.as_str())));
        let description = self.terms.description.as_ref().map(|text| ("description", json!(text)));
        let next = self.next.as_ref().map(|next| ("next", json!(next.as_str())));
        for (name, field) in more.into_iter().chain(pattern).chain(description).chain(next) {
            value[name] = field;
        }
        value
    }
}

impl StreamView {
    fn summary(&self) -> Value {
        json!({"path": self.path.as_str(), "link_type": self.link_type, "acked_offset": offset_text(self.acked)})
    }
}

impl Serialize for StreamView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("StreamView", 5)?;
        fields.serialize_field("path", self.path.as_str())?;
        fields.serialize_field("link_type", &self.link_type)?;
        fields.serialize_field("acked_offset", &offset_text(self.acked))?;
        fields.serialize_field("tail_offset", &offset_text(Some(self.tail)))?;
        fields.serialize_field("has_pending", &self.pending)?;
        fields.end()
    }
}

/// The body of a webhook.
#[derive(Serialize)]
struct WakeBody<'a> {
    subscription_id: &'a str,
    wake_id: &'a str,
    generation: u64,
    streams: &'a [StreamView],
    callback_url: String,
    callback_token: &'a str,
}

impl ClaimedView {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "wake_id": self.wake_id,
            "generation": self.generation,
            "token": self.token,
            "streams": self.streams,
            "lease_ttl_ms": self.lease_ttl_ms,
        })
    }
}

impl WakeView {
    /// Returns the body of the webhook. `url` is that of the server, without a slash at its end.
    pub(crate) fn to_body(&self, url: &str) -> Vec<u8> {
        let id = path_segment(self.id.as_str());
        let body = WakeBody {
            subscription_id: self.id.as_str(),
            wake_id: &self.wake_id,
            generation: self.generation,
            streams: &self.streams,
            callback_url: format!("{url}{}/__ds/subscriptions/{id}/callback", self.mount),
            callback_token: &self.token,
        };
        serde_json::to_vec(&body).expect("numbers and strings always serialize")
    }
}

impl JwksView {
    pub(crate) fn to_json(&self) -> Value {
        let keys = self.0.iter().map(
            |(kid, key)| json!({"kty": "OKP", "crv": "Ed25519", "x": key.x, "kid": kid, "use": "sig", "alg": "EdDSA"}),
        );
        json!({"keys": keys.collect::<Vec<_>>()})
    }
}

/// Formats an acknowledged offset; `None` is "-1".
pub(crate) fn offset_text(acked: Option<Offset>) -> String {
    acked.map_or_else(|| "-1".to_owned(), |offset| offset.to_string())
}

/// Returns the name of a key: its JWK thumbprint. RFC 7638 3, RFC 8037 A.3.
pub(crate) fn jwk_thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    format!("ds_{}", URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes())))
}

/// Returns the text to sign: the time and the body.
pub(crate) fn signed_text(at_s: u64, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{at_s}.").into_bytes();
    text.extend_from_slice(body);
    text
}

/// Formats the value of the `Webhook-Signature` header.
pub(crate) fn signature_header(at_s: u64, kid: &str, signature: &[u8]) -> String {
    format!("t={at_s},kid={kid},ed25519={}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_matches_the_example_of_the_rfc() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        assert_eq!(jwk_thumbprint(x), "ds_kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn no_acknowledged_offset_is_minus_one() {
        assert_eq!(offset_text(None), "-1");
        assert_eq!(offset_text(Some(Offset::at(3, 7))), "0000000000000003_0000000000000007");
    }
}
