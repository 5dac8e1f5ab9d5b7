//! A library whose constructor calls into the program that opens it, after a while: under the loader's lock.

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

/// Calls the function whose address the program left in its environment.
extern "C" fn start() {
    // So that another thread comes to wait for the loader, if it asks for it at all.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let at: usize = std::env::var("CONSTRUCTOR_CALLS").expect("an address").parse().expect("a number");
    let call = std::ptr::with_exposed_provenance::<()>(at);
    // SAFETY: the program's function, of this type.
    unsafe { std::mem::transmute::<*const (), extern "C" fn()>(call)() }
}
