# SPDX-License-Identifier: LGPL-2.1-or-later
"""Day, dusk and night, fog and rain, and rooms with lamps. Linear RGB throughout."""


def mix(a, b, t):
    return [x + (y - x) * t for x, y in zip(a, b)]


def times(colour, k):
    return [round(c * k, 4) for c in colour]


def outdoors(rng, scene, ease, reach):
    clouds = rng.random() ** 1.2
    if scene.weather == "fog":
        clouds = rng.uniform(0.8, 1)
    elif scene.weather == "rain":
        clouds = rng.uniform(0.85, 1)
    light = {"lamps": []}
    if scene.time == "day":
        elevation = rng.uniform(18, 70)
        warm = max(0.0, (35 - elevation) / 35)
        sun = mix([1.0, 0.96, 0.88], [1.0, 0.82, 0.6], warm)
        strength = 2.3 * (1 - clouds) ** 0.7 if clouds < 0.85 else 0.0
        blue, grey = [0.30, 0.48, 0.85], [0.62, 0.65, 0.70]
        light["sun"] = [round(rng.uniform(0, 360), 1), round(elevation, 1)] if strength > 0.05 else None
        light["sun_colour"] = times(sun, strength)
        sky = mix(blue, grey, clouds)
        light["ambient"] = {"sky": times(mix([0.62, 0.72, 0.9], [0.82, 0.84, 0.88], clouds), rng.uniform(0.75, 1.0)),
                            "ground": times([0.42, 0.40, 0.37], rng.uniform(0.7, 1.0))}
        light["sky"] = {"zenith": times(sky, 0.9), "horizon": times(mix([0.75, 0.82, 0.92], [0.8, 0.82, 0.84], clouds), 1.0),
                        "clouds": round(clouds, 3)}
        haze = [0.72, 0.75, 0.79]
    elif scene.time == "dusk":
        glow = rng.uniform(0.4, 1.0)
        light["sun"] = [round(rng.uniform(0, 360), 1), round(rng.uniform(3, 9), 1)] if clouds < 0.7 else None
        light["sun_colour"] = times([1.0, 0.5, 0.22], 0.9 * glow * (1 - clouds))
        light["ambient"] = {"sky": times([0.36, 0.36, 0.52], rng.uniform(0.65, 1.0)),
                            "ground": times([0.26, 0.2, 0.18], rng.uniform(0.7, 1.0))}
        horizon = mix([0.95, 0.48, 0.22], [0.5, 0.38, 0.42], clouds)
        light["sky"] = {"zenith": times([0.12, 0.16, 0.34], rng.uniform(0.7, 1.1)), "horizon": times(horizon, 0.55 + 0.3 * glow),
                        "clouds": round(clouds, 3)}
        haze = [0.36, 0.31, 0.34]
    else:
        light["sun"], light["sun_colour"] = None, [0, 0, 0]
        level = rng.uniform(0.75, 1.25)
        light["ambient"] = {"sky": times([0.050, 0.058, 0.085], level), "ground": times([0.03, 0.028, 0.026], level)}
        light["sky"] = {"zenith": times([0.006, 0.008, 0.02], level), "horizon": times([0.035, 0.03, 0.035], level),
                        "clouds": round(clouds, 3)}
        haze = [0.055, 0.052, 0.056]
    density = 0.0
    if scene.weather == "fog":
        density = rng.uniform(0.3, 0.8) / max(9.0, reach)
    elif scene.weather == "rain":
        density = rng.uniform(0.1, 0.3) / max(10.0, reach)
    elif rng.random() < 0.2 * (1 - ease):
        density = rng.uniform(0.002, 0.006)
    light["fog"] = {"density": round(density, 5), "colour": times(haze, rng.uniform(0.9, 1.1))}
    if scene.weather != "clear":
        light["sky"]["zenith"] = times(mix(light["sky"]["zenith"], light["fog"]["colour"], 0.75), 1.0)
        light["sky"]["horizon"] = list(light["fog"]["colour"])
        light["sun"] = None if scene.weather == "fog" or rng.random() < 0.8 else light["sun"]
    return light


LAMPS = [[1.0, 0.78, 0.48], [1.0, 0.62, 0.28], [0.95, 0.95, 1.0], [1.0, 0.88, 0.7]]


def street_lamps(rng, light, spots, dark):
    """Lamps over the ground, at night and at dusk. spots: (x, y, z, distance over which it should reach)."""
    colour = rng.choice(LAMPS)
    strength = 0.62 if dark else 0.4
    for x, y, z, radius in spots[:4]:
        light["lamps"].append({"position": [round(x, 2), round(y, 2), round(z, 2)],
                               "colour": times(colour, strength * rng.uniform(0.7, 1.4)), "radius": round(radius, 1)})


def indoors(rng, scene, ease, spots):
    """A room: even light from above, some lamps. spots: where lamps hang, (x, y, z, radius)."""
    tone = rng.choice([[1.0, 0.97, 0.92], [1.0, 0.92, 0.8], [0.94, 0.98, 1.0], [1.0, 0.86, 0.68]])
    level = {"day": rng.uniform(0.62, 0.95), "dusk": rng.uniform(0.45, 0.75), "night": rng.uniform(0.28, 0.5)}[scene.time]
    light = {"sun": None, "sun_colour": [0, 0, 0],
             "ambient": {"sky": times(tone, level), "ground": times(mix(tone, [0.8, 0.7, 0.6], 0.4), 0.55 * level)},
             "sky": {"zenith": [0.3, 0.4, 0.6] if scene.time == "day" else [0.01, 0.01, 0.03],
                     "horizon": [0.6, 0.65, 0.7] if scene.time == "day" else [0.03, 0.03, 0.04], "clouds": 0.3},
             "fog": {"density": 0.0, "colour": [0.5, 0.5, 0.5]}, "lamps": []}
    if scene.time == "day" and rng.random() < 0.3:      # sunlight from large windows behind the camera
        light["sun"] = [round(rng.uniform(0, 360), 1), round(rng.uniform(40, 75), 1)]
        light["sun_colour"] = times([1.0, 0.95, 0.86], rng.uniform(0.3, 0.7))
    for x, y, z, radius in spots[:4]:
        light["lamps"].append({"position": [round(x, 2), round(y, 2), round(z, 2)],
                               "colour": times(tone, rng.uniform(0.5, 1.1)), "radius": round(radius, 1)})
    return light
