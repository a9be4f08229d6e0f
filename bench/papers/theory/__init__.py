"""The three papers' theory as pure functions, a module for each, and the claims that are checked on them."""
