//! Parts of a request that handlers take as arguments. Those of axum refuse bad input in plain text; these refuse it as
//! a [`Problem`], as everything else does.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// The parameters of the route. A path that is not UTF-8 after decoding is `400 invalid-request`.
pub(crate) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))
    }
}

/// The query parameters. A query that `T` does not accept is `400 invalid-request`, for example with a parameter twice.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::header::CONTENT_TYPE;
    use axum::http::{Request, StatusCode};
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use serde::Deserialize;
    use tower_service::Service;

    use super::*;

    #[derive(Deserialize)]
    struct Wanted {
        n: u32,
    }

    async fn answer(uri: &str) -> (StatusCode, String) {
        let route =
            get(|Path(name): Path<String>, Query(Wanted { n }): Query<Wanted>| async move { format!("{name} {n}") });
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = Router::new().route("/{name}", route).call(request).await.unwrap();
        let (status, kind) = (response.status(), response.headers()[CONTENT_TYPE].clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(kind == "application/problem+json", !status.is_success(), "{kind:?}");
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_cannot_be_understood_is_refused_as_a_problem() {
        assert_eq!(answer("/a%20b?n=1").await, (StatusCode::OK, "a b 1".to_owned()));
        for (uri, expected) in [
            ("/%ff?n=1", "UTF-8"),
            ("/a?n=1&n=2", "duplicate field `n`"),
            ("/a?n=x", "invalid digit"),
            ("/a", "missing field `n`"),
        ] {
            let (status, body) = answer(uri).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{uri}");
            assert!(body.contains(expected), "{uri}: {body}");
        }
    }
}
