"""The plane of Blau & Michaeli (2018) over methods: a score without a reference against scores with one."""
