//! No call in the allocator says `true` or `false` to a function of its own: what is meant has a name.

use syn::visit::Visit;

mod source;

use source::production::{assert_none, production};
use source::shown;

/// The core library's, where the value is the whole of what is said.
const PLAIN: [&str; 12] = [
    "AtomicBool::new",
    "Cell::new",
    "Err",
    "Ok",
    "Some",
    ".fold",
    ".map_or",
    ".replace",
    ".set",
    ".store",
    ".swap",
    ".unwrap_or",
];

/// The calls with a bare bool among their arguments, and their lines.
#[derive(Default)]
struct Calls {
    found: Vec<(String, usize)>,
}

impl Calls {
    fn see(&mut self, name: String, arguments: &syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>) {
        let bare = arguments.iter().find_map(|argument| match argument {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Bool(literal), .. }) => Some(literal),
            _ => None,
        });
        if let Some(literal) = bare.filter(|_| !PLAIN.contains(&name.as_str())) {
            self.found.push((name, literal.span().start().line));
        }
    }
}

impl<'a> Visit<'a> for Calls {
    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func {
            let names: Vec<_> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
            self.see(names[names.len().saturating_sub(2)..].join("::"), &call.args);
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.see(format!(".{}", call.method), &call.args);
        syn::visit::visit_expr_method_call(self, call);
    }
}

fn bare_bools(code: &syn::File) -> Vec<(String, usize)> {
    let mut calls = Calls::default();
    calls.visit_file(code);
    calls.found
}

#[test]
fn no_call_says_a_bare_bool() {
    let mut found = Vec::new();
    for file in production() {
        let calls = bare_bools(&file.code).into_iter();
        found.extend(calls.map(|(name, line)| format!("{}:{line}: {name}", shown(&file.path))));
    }
    assert_none(found, "a bare bool in a call");
    let count = |code: &str| bare_bools(&syn::parse_file(code).expect("Rust")).len();
    assert_eq!(count("fn f() { a.b(1, true); C::d(false); e(g(true)); }"), 3);
    assert_eq!(count("fn f() { Some(true); a.set(false); core::cell::Cell::new(true); b(c); }"), 0);
}
