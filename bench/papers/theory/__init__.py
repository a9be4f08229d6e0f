"""The three papers' theory as pure functions, one module a paper, and the claims that are checked on them."""
