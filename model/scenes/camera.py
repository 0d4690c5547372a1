# SPDX-License-Identifier: LGPL-2.1-or-later
"""The camera: the projection that the renderer uses too, and what a sensor and a recorder do to a picture."""

from math import cos, exp, log, radians, sin, tan


class Camera:
    """A pinhole with a little radial distortion. Angles in degrees, as in a scene description. The
    distortion is the sensor's k1: r_seen = zoom r (1 + k1 r^2), with r = 1 at half the height, and a zoom that fills
    the frame.

    Yaw 0 and pitch 0 look along -z; pitch > 0 looks down, yaw > 0 turns left, fov is vertical.
    """

    def __init__(self, position, yaw=0.0, pitch=0.0, roll=0.0, fov=50.0, aspect=4 / 3, distortion=0.0):
        self.position = tuple(position)
        self.yaw, self.pitch, self.roll, self.fov = yaw, pitch, roll, fov
        self.aspect, self.distortion = aspect, distortion
        y, p, r = radians(yaw), radians(pitch), radians(roll)
        cy, sy, cp, sp = cos(y), sin(y), cos(p), sin(p)
        self.forward = (-sy * cp, -sp, -cy * cp)
        right, up = (cy, 0.0, -sy), (-sy * sp, cp, -cy * sp)
        cr, sr = cos(r), sin(r)
        # a barrel draws the corners in most, a cushion the middle of the nearest side
        corner = 1 + aspect * aspect
        self.k1 = max(-0.3 / corner, min(1.0 / corner, distortion))
        self.zoom = 1 / (1 + self.k1 * (corner if self.k1 < 0 else min(1.0, aspect) ** 2))
        self.right = tuple(cr * a - sr * b for a, b in zip(right, up))
        self.up = tuple(cr * b + sr * a for a, b in zip(right, up))
        self.tan = tan(radians(fov) / 2)

    @classmethod
    def of(cls, description):
        c = description["camera"]
        aspect = description.get("aspect") or description["width"] / description["height"]
        return cls(c["position"], c.get("yaw", 0), c.get("pitch", 0), c.get("roll", 0), c.get("fov", 50), aspect,
                   c.get("distortion", 0))

    def describe(self):
        return {"position": [round(v, 4) for v in self.position], "yaw": round(self.yaw, 3),
                "pitch": round(self.pitch, 3), "roll": round(self.roll, 3), "fov": round(self.fov, 3),
                "distortion": round(self.distortion, 4)}

    def project(self, point):
        """(column, row, depth): fractions of the picture, and metres along the view; None behind the camera."""
        cx, cy, cz = self.position
        x, y, z = point[0] - cx, point[1] - cy, point[2] - cz
        f, r, u = self.forward, self.right, self.up
        depth = x * f[0] + y * f[1] + z * f[2]
        if depth < 0.02:
            return None
        k = 1 / (depth * self.tan)
        nx = (x * r[0] + y * r[1] + z * r[2]) * k / self.aspect
        ny = (x * u[0] + y * u[1] + z * u[2]) * k
        if self.distortion:
            s = self.zoom * (1 + self.k1 * (nx * nx * self.aspect * self.aspect + ny * ny))
            nx, ny = nx * s, ny * s
        return 0.5 + 0.5 * nx, 0.5 - 0.5 * ny, depth

    def box(self, position, size, yaw):
        """(left, top, right, bottom, depth of the centre) of a turned box that stands on position, or None."""
        a = radians(yaw)
        c, s = cos(a), sin(a)
        w, h, d = size[0] / 2, size[1], size[2] / 2
        f, r, u, eye = self.forward, self.right, self.up, self.position
        px, py, pz = position[0] - eye[0], position[1] - eye[1], position[2] - eye[2]
        # the middle of the footprint and the box's half axes as the camera has them
        mf, mr, mu = (px * v[0] + py * v[1] + pz * v[2] for v in (f, r, u))
        wc, ws, dc, ds = w * c, w * s, d * c, d * s
        wf, wr, wu = wc * f[0] - ws * f[2], wc * r[0] - ws * r[2], wc * u[0] - ws * u[2]
        df, dr, du = ds * f[0] + dc * f[2], ds * r[0] + dc * r[2], ds * u[0] + dc * u[2]
        hf, hr, hu = h * f[1], h * r[1], h * u[1]
        k1, zoom, ky, kx = self.k1, self.zoom, 1 / self.tan, 1 / (self.tan * self.aspect)
        squared = self.aspect * self.aspect
        left = top = 1e9
        right = bottom = -1e9
        for f0, r0, u0 in ((mf - wf - df, mr - wr - dr, mu - wu - du), (mf - wf + df, mr - wr + dr, mu - wu + du),
                           (mf + wf - df, mr + wr - dr, mu + wu - du), (mf + wf + df, mr + wr + dr, mu + wu + du)):
            for depth, x, y in ((f0, r0, u0), (f0 + hf, r0 + hr, u0 + hu)):
                if depth < 0.05:
                    return None
                x *= kx / depth
                y *= -ky / depth
                if k1:
                    e = zoom * (1 + k1 * (x * x * squared + y * y))
                    x *= e
                    y *= e
                if x < left:
                    left = x
                if x > right:
                    right = x
                if y < top:
                    top = y
                if y > bottom:
                    bottom = y
        return 0.5 + left / 2, 0.5 + top / 2, 0.5 + right / 2, 0.5 + bottom / 2, mf + hf / 2

    def straight(self, nx, ny):
        """The place without distortion; from the middle, half the width and the height are 1."""
        squared = self.aspect * self.aspect
        ux, uy = nx / self.zoom, ny / self.zoom
        for _ in range(5):
            s = self.zoom * (1 + self.k1 * (ux * ux * squared + uy * uy))
            ux, uy = nx / s, ny / s
        return ux, uy

    def ray(self, column, row):
        """The direction through a point of the picture (unit depth; the distortion undone)."""
        nx, ny = 2 * column - 1, 1 - 2 * row
        if self.distortion:
            nx, ny = self.straight(nx, ny)
        a, b = nx * self.tan * self.aspect, ny * self.tan
        return tuple(f + a * r + b * u for f, r, u in zip(self.forward, self.right, self.up))

    def at_height(self, column, row, height):
        """Where the ray through a point of the picture meets a height: (x, z, depth), or None above the horizon."""
        d = self.ray(column, row)
        if abs(d[1]) < 1e-6:
            return None
        t = (height - self.position[1]) / d[1]
        if t <= 0.05:
            return None
        return self.position[0] + t * d[0], self.position[2] + t * d[2], t

    def at_depth(self, column, depth, height):
        """The point of a column at a depth and a height: (x, z, row)."""
        nx = 2 * column - 1
        if self.distortion:
            nx, _ = self.straight(nx, 0.0)
        side = nx * depth * self.tan * self.aspect
        f, r, u, p = self.forward, self.right, self.up, self.position
        t = (height - p[1] - f[1] * depth - r[1] * side) / u[1]
        row = 0.5 - 0.5 * t / (depth * self.tan)
        return p[0] + side * r[0] + depth * f[0] + t * u[0], p[2] + side * r[2] + depth * f[2] + t * u[2], row


def log_uniform(rng, low, high):
    return exp(rng.uniform(log(low), log(high)))


def lens(rng, ease):
    """fov, roll, distortion. ease 0: full variety, 1: gentle."""
    wide = rng.random() < 0.2 * (1 - ease)
    fov = rng.uniform(68, 90) if wide else rng.triangular(35, 68, 48)
    roll = 0.0 if rng.random() < 0.4 else rng.gauss(0, 2.0) * (1 - 0.7 * ease)
    distortion = 0.0
    if rng.random() < 0.5 * (1 - ease):
        distortion = rng.uniform(-0.09, -0.02) if wide else rng.uniform(-0.05, 0.015)
    return fov, max(-6, min(6, roll)), distortion


def sensor(rng, ease, time, indoors, weather):
    """What the camera's electronics and its recorder do. Most cameras are fair, some are poor."""
    poor = rng.random() ** (1.6 + 3 * ease)          # 0: a good camera, 1: a bad one
    dark = {"day": 0.0, "dusk": 0.4, "night": 1.0}[time] * (0.4 if indoors else 1.0)
    warm = rng.gauss(0, 0.05 if indoors or time != "day" else 0.03) * (1 - 0.6 * ease)
    green = rng.gauss(0, 0.015) * (1 - 0.6 * ease)
    s = {"exposure": round(exp(rng.gauss(0, 0.16 * (1 - 0.5 * ease))), 3),
         "white": [round(1 + warm, 3), round(1 + green, 3), round(1 - warm, 3)],
         "contrast": round(rng.uniform(0.85, 1.15), 3),
         "saturation": round(rng.uniform(0.8, 1.15) * (1 - 0.15 * dark), 3),
         "vignette": round(rng.uniform(0, 0.35) if rng.random() < 0.4 * (1 - ease) else 0.0, 3),
         "blur": round(rng.uniform(0, 0.5) + 0.7 * poor * rng.random(), 3),
         "noise": round(0.004 + (0.025 + 0.02 * dark) * poor * rng.random() + 0.006 * dark, 4),
         "sharpen": round(rng.uniform(0.2, 1.0) if rng.random() < 0.35 * (1 - ease) else 0.0, 3),
         "scale": round(rng.uniform(0.5, 0.95) if rng.random() < 0.25 * (1 - ease) else 1.0, 3),
         "jpeg": 0 if rng.random() < 0.15 + 0.3 * ease else int(92 - 62 * poor * rng.uniform(0.4, 1)),
         "passes": 2 if rng.random() < 0.15 * (1 - ease) else 1}
    if rng.random() < 0.08 * (1 - ease):
        a, n = rng.uniform(0, 6.2832), rng.uniform(0.5, 2.2)
        s["motion"] = [round(n * cos(a), 2), round(n * sin(a), 2)]
    if weather != "clear":
        s["contrast"] = round(s["contrast"] * 0.95, 3)
    return s


HOURS = {"day": (8, 16), "dusk": (17, 20), "night": (21, 28)}
LABELS = ["CAM {}", "CAM{:02}", "Camera {:02}", "CH{}", "CH {:02}", "IPC-{:03}", "D{}", "cam-{}"]


def osd(rng, fonts, scene, chance=0.27):
    """The time stamp and the name that recorders write into the picture."""
    if rng.random() >= chance or not fonts:
        return []
    font = rng.choice(fonts)
    low, high = HOURS[scene.time]
    y, mo, d = rng.randint(2014, 2031), rng.randint(1, 12), rng.randint(1, 28)
    h, mi, s = rng.randint(low, high) % 24, rng.randint(0, 59), rng.randint(0, 59)
    date = rng.choice(["{0:04}-{1:02}-{2:02}", "{2:02}/{1:02}/{0:04}", "{2:02}.{1:02}.{0:04}", "{1:02}-{2:02}-{0:04}",
                       "{0:04}/{1:02}/{2:02}"]).format(y, mo, d)
    clock = "%02d:%02d:%02d" % (h, mi, s)
    colour = rng.choice([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 0.95, 0.2], [0.3, 1, 0.3]])
    height = round(rng.uniform(0.028, 0.05), 4)
    shade = rng.choice([0, 0, 0.4, 0.7])
    top, bottom = round(rng.uniform(0.01, 0.04), 3), round(1 - height - rng.uniform(0.01, 0.05), 3)
    line = {"font": font, "height": height, "colour": colour, "shade": shade}
    lines = [dict(line, text=date + " " + clock, x=round(rng.choice([0.02, 0.02, 0.45]), 3), y=rng.choice([top, bottom]))]
    if rng.random() < 0.5:
        name = rng.choice(LABELS).format(rng.randint(1, 16))
        lines.append(dict(line, text=name, x=rng.choice([0.02, 0.75]), y=bottom if lines[0]["y"] == top else top))
    return lines
