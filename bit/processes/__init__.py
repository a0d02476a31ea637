"""Leading-order simulators with exact weight polynomials, and toys with truth in closed form.

- `bit.processes.zh`: pp -> Z H, Z -> l l, with the coefficients cHW, cHWtil and cHq3;
- `bit.processes.zh_undecayed`: pp -> Z H with a stable Z and the coefficient fB;
- `bit.processes.vbf`: q q' -> q q' H by W W fusion, with the coefficients cHW and cHWtil, and by ZZ, Z gamma and
  gamma gamma fusion, with cHW, cHB, cHWB and their CP-odd partners;
- `bit.processes.h4l`: h -> 2e2mu, 4e and 4mu, with the coefficients cHW, cHB, cHWB and their CP-odd partners;
- `bit.processes.wz`: pp -> W+- Z -> l nu l l, with the coefficients cW and cHq3;
- `bit.processes.analytic`: closed-form toys, textbook densities, and a background to ZH;
- `bit.processes.detector`: resolutions, efficiencies and acceptance of a detector;
- `bit.processes.registry`: the processes by name;
- `bit.processes.pdf`, `currents`, `hvv`, `fusion`, `phase_space`, `cuts`, `simulation`: what the processes are made of.

Events are partons at leading order: no shower, no higher orders, and a detector only where one is asked for.
"""
