//! Memory for answers: replies that the outbox has not taken yet hold up further calls, once they have as many bytes as all calls
//! at a time may bring.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Config;

/// Unit of the memory.
const KIB: usize = 1024;

/// Bytes of the answers that are expected, or whose replies are not sent.
pub(super) struct Unsent {
    kibibytes: Arc<Semaphore>,
    answer_kibibytes: u32,
}

/// Memory for an answer, which is free again when it is dropped.
pub(super) struct Held(Option<OwnedSemaphorePermit>);

impl Unsent {
    pub(super) fn new(config: &Config) -> Self {
        let answer = config.answer_bytes_max.div_ceil(KIB).clamp(1, Semaphore::MAX_PERMITS / 2);
        let all = answer.saturating_mul(config.concurrent_max.max(1)).min(Semaphore::MAX_PERMITS);
        let answer_kibibytes = u32::try_from(answer).unwrap_or(u32::MAX);
        Self { kibibytes: Arc::new(Semaphore::new(all)), answer_kibibytes }
    }

    /// Waits until there is memory for one more answer of the largest size. Cancel-safe.
    pub(super) async fn expect(&self) -> Held {
        let kibibytes = Arc::clone(&self.kibibytes);
        // The semaphore is never closed.
        Held(kibibytes.acquire_many_owned(self.answer_kibibytes).await.ok())
    }
}

impl Held {
    /// Frees what an answer with replies of `bytes` does not need.
    pub(super) fn keep(mut self, bytes: usize) -> Self {
        let kept = self.0.as_mut().and_then(|permit| {
            let kibibytes = bytes.div_ceil(KIB).min(permit.num_permits());
            permit.split(kibibytes)
        });
        Self(kept)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn answers_with_unsent_replies_hold_up_further_calls() {
        let unsent = Unsent::new(&Config { answer_bytes_max: 10 * KIB, concurrent_max: 2, ..Config::default() });
        let expect = || unsent.expect().now_or_never();
        let (one, other) = (expect().unwrap(), expect().unwrap());
        assert!(expect().is_none());
        let (one, other) = (one.keep(0), other.keep(3 * KIB));
        let third = expect().unwrap();
        assert!(expect().is_none(), "7 KiB are left");
        drop((one, third));
        let fourth = expect();
        assert!(fourth.is_some() && expect().is_none(), "17 KiB were left");
        drop(other);
        assert!(expect().is_some());
    }
}
