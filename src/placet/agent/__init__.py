"""The agent: promotion as a service. It keeps no state but the trust memory, so it can die at any time.

`service` starts one `watch` for each Ctrl repository, which looks at its branches, and `lane`s, which do the
`jobs` when something is new or due.
"""
