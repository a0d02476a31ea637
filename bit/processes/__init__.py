"""Leading-order simulators with exact weight polynomials, and toys with truth in closed form.

- `bit.processes.zh`: pp -> Z H, Z -> l l, with the coefficients cHW, cHWtil and cHq3;
- `bit.processes.zh_undecayed`: pp -> Z H with a stable Z and the coefficient fB, the example of arXiv:2109.10414;
- `bit.processes.vbf`: q q' -> q q' H by W W fusion, with the coefficients cHW and cHWtil;
- `bit.processes.h4l`: h -> 2e2mu, 4e and 4mu, with the coefficients cHW, cHB, cHWB and their CP-odd partners;
- `bit.processes.analytic`: closed-form toys;
- `bit.processes.pdf`, `currents`, `hvv`, `phase_space`, `cuts`, `simulation`, `record`, `zh_scattering`: what the
  processes are made of.

Events are partons at leading order: no shower, no detector, no higher orders, no background.
"""
