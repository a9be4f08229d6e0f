"""How fast training goes: what makes it fast, and where its time goes."""
