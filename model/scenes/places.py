# SPDX-License-Identifier: LGPL-2.1-or-later
"""The places by their names. A place is built around the origin of the world; the camera comes after, with the pose that
the place proposes."""

from .indoors import counter, home, office, shop, warehouse
from .outdoors import car_park, entrance, park, street
from .place import Place

BUILDERS = {"street": street, "car park": car_park, "entrance": entrance, "shop": shop, "office": office,
            "warehouse": warehouse, "home": home, "park": park}


def build(scene, rng, assets, reach, ease, low, table, bulk=0.6):
    p = Place(scene, rng, assets, reach, ease, low, bulk)
    BUILDERS[scene.place](p)
    if table:
        counter(p)
    return p
