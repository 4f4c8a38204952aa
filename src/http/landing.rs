//! The page of a listener for a person who opens its port in a browser, and the user guide that the page links to.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};

use super::problem::not_found;

/// The chapters of the user guide: the last part of the path, the topic, and the text.
const GUIDE: [(&str, &str, &str); 9] = [
    ("delivery.md", "what happens to a message at every moment", include_str!("../guide/delivery.md")),
    ("webhooks.md", "services in any language", include_str!("../guide/webhooks.md")),
    ("streams.md", "durable streams", include_str!("../guide/streams.md")),
    ("broker.md", "the broker and its landscapes", include_str!("../guide/broker.md")),
    ("configuration.md", "every setting", include_str!("../guide/configuration.md")),
    ("security.md", "who may do what", include_str!("../guide/security.md")),
    ("operations.md", "operation", include_str!("../guide/operations.md")),
    ("rust.md", "services in Rust", include_str!("../guide/rust.md")),
    ("exocom.md", "ExoCom compatibility", include_str!("../guide/exocom.md")),
];

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
    pre{background:#8882;padding:.6rem;overflow:auto}:root{color-scheme:light dark}";

/// An introduction to a listener, or to one of the systems that it serves.
#[derive(Debug, Clone, Default)]
pub struct Introduction {
    /// One or two sentences on its purpose.
    pub about: String,
    /// Purposes of commands, and the commands. `{host}` in a command stands for the address that the reader used.
    pub tries: Vec<(&'static str, String)>,
    /// Paths that can be opened with `GET`, and their contents.
    pub links: Vec<(&'static str, &'static str)>,
}

/// The page of a listener.
#[derive(Debug, Clone)]
pub struct Landing {
    title: String,
    parts: Vec<Introduction>,
}

/// The form of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Text,
}

impl Landing {
    /// A page with one part per introduction.
    pub fn new(title: impl Into<String>, parts: Vec<Introduction>) -> Self {
        Self { title: title.into(), parts }
    }

    /// Adds the page at `/` and the guide below `/guide` to a router, and the answer 404 to every other unknown path.
    pub fn fallback<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        let landing = Arc::new(self);
        router.fallback(move |request: Request| {
            let landing = Arc::clone(&landing);
            async move {
                let (parts, _) = request.into_parts();
                match landing.find(&parts.method, parts.uri.path(), &parts.headers) {
                    Some(page) => page,
                    None => not_found(parts.method, parts.uri).await.into_response(),
                }
            }
        })
    }

    /// Returns the page or the chapter at this path: HTML for browsers, else plain text; `None` if there is none.
    pub fn find(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return None;
        }
        let form = if is_browser(headers) { Form::Html } else { Form::Text };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        match (path, path.strip_prefix("/guide/")) {
            ("/", _) => Some(page(form, self.render(form, host))),
            ("/guide" | "/guide/", _) => Some(page(form, contents(form))),
            (_, Some(chapter)) => {
                let (_, _, text) = GUIDE.into_iter().find(|(name, _, _)| *name == chapter)?;
                Some(page(Form::Text, text.to_owned()))
            }
            _ => None,
        }
    }

    fn render(&self, form: Form, host: &str) -> String {
        let mut page = Page::begin(form, &self.title);
        for Introduction { about, tries, links } in &self.parts {
            if !about.is_empty() {
                page.paragraph(about);
            }
            for (purpose, command) in tries {
                page.command(purpose, &command.replace("{host}", host));
            }
            links.iter().for_each(|(path, content)| page.link(path, content));
        }
        page.link("/guide", "the user guide");
        page.end()
    }
}

/// Returns true for a client that asks for HTML, as browsers do.
pub fn is_browser(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = accepted.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|range| range.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn contents(form: Form) -> String {
    let mut page = Page::begin(form, "ExoRelay: the user guide");
    for (name, topic, _) in GUIDE {
        page.link(&format!("/guide/{name}"), topic);
    }
    page.end()
}

fn page(form: Form, text: String) -> Response {
    let content_type = match form {
        Form::Html => "text/html; charset=utf-8",
        Form::Text => "text/plain; charset=utf-8",
    };
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept"),
    ];
    (headers, text).into_response()
}

/// A page that is being written. All texts are escaped.
struct Page {
    form: Form,
    out: String,
}

impl Page {
    fn begin(form: Form, title: &str) -> Self {
        let title = format!("{title}, version {}", env!("CARGO_PKG_VERSION"));
        let out = match form {
            Form::Text => format!("{title}\n"),
            Form::Html => {
                let title = escaped(&title);
                format!(
                    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
                     content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style>\n<h1>{title}</h1>\n"
                )
            }
        };
        Self { form, out }
    }

    fn paragraph(&mut self, text: &str) {
        self.write(|form| match form {
            Form::Text => format!("\n{text}\n"),
            Form::Html => format!("<p>{}</p>\n", escaped(text)),
        });
    }

    fn command(&mut self, purpose: &str, command: &str) {
        self.write(|form| match form {
            Form::Text => format!("\n{purpose}:\n  {command}\n"),
            Form::Html => format!("<p>{}:</p><pre>{}</pre>\n", escaped(purpose), escaped(command)),
        });
    }

    fn link(&mut self, path: &str, content: &str) {
        self.write(|form| match form {
            Form::Text => format!("\n{path}  {content}"),
            Form::Html => {
                let (path, content) = (escaped(path), escaped(content));
                format!("<div><a href=\"{path}\">{path}</a> {content}</div>\n")
            }
        });
    }

    fn end(mut self) -> String {
        self.write(|form| if form == Form::Text { "\n".into() } else { "</html>\n".into() });
        self.out
    }

    fn write(&mut self, part: impl FnOnce(Form) -> String) {
        self.out.push_str(&part(self.form));
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => write!(out, "&#{};", u32::from(character)).expect("a string takes all"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    async fn text_of(path: &str, accept: &'static str, host: &'static str) -> String {
        let parts = vec![Introduction {
            about: "For <services>.".into(),
            tries: vec![("Try it", "curl http://{host}/a".into())],
            links: vec![("/ready", "the state")],
        }];
        let headers =
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept)), (HOST, HeaderValue::from_static(host))]);
        let found = Landing::new("ExoRelay", parts).find(&Method::GET, path, &headers).unwrap();
        let kind = found.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(found.into_body(), 100_000).await.unwrap();
        format!("{kind}\n{}", String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_browser_gets_html_and_others_get_text() {
        let html = text_of("/", "text/html,application/xhtml+xml,*/*;q=0.8", "relay:4001").await;
        assert!(html.starts_with("text/html") && html.contains("<pre>curl http://relay:4001/a</pre>"), "{html}");
        assert!(html.contains("For &#60;services&#62;.") && html.contains("<a href=\"/guide\">"), "{html}");
        let text = text_of("/", "*/*", "relay:4001").await;
        assert!(text.starts_with("text/plain") && text.contains("\n  curl http://relay:4001/a\n"), "{text}");
        assert!(text.contains("For <services>.") && text.contains("\n/ready  the state\n/guide  "), "{text}");
    }

    #[tokio::test]
    async fn a_forged_host_is_only_text() {
        let html = text_of("/", "text/html", "<script>alert(1)</script>").await;
        assert!(!html.contains("<script>"), "{html}");
    }

    #[tokio::test]
    async fn the_guide_has_every_chapter() {
        let contents = text_of("/guide", "*/*", "").await;
        for (name, _, text) in GUIDE {
            assert!(contents.contains(&format!("/guide/{name}  ")), "{contents}");
            assert!(text_of(&format!("/guide/{name}"), "text/html", "").await.ends_with(text));
        }
        let chapters = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide")).unwrap();
        let chapters = chapters.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "md"));
        assert_eq!(chapters.count(), GUIDE.len());
    }

    #[test]
    fn other_methods_and_paths_have_no_page() {
        let landing = Landing::new("ExoRelay", Vec::new());
        let none = HeaderMap::new();
        assert!(landing.find(&Method::POST, "/", &none).is_none());
        assert!(landing.find(&Method::GET, "/zonk", &none).is_none());
        assert!(landing.find(&Method::GET, "/guide/zonk", &none).is_none());
        assert!(landing.find(&Method::HEAD, "/", &none).is_some());
    }
}
