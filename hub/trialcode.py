"""What the robot of the trial runs in its kernel."""

CLUSTER = "client = gl.attach(workers=1); print(client.submit(sum, [40, 2]).result(120), list(gl.clusters())[0].place)"
PRODUCT = """
from geodes_lab.errors import GeodesError

wanted, origin, why = {collection!r}, "", ""
for name in [wanted] if wanted else gl.collections().index:
    try:
        products = list(gl.search(name, limit=1))
    except GeodesError as error:
        products, why = [], " (" + str(error) + ")"
    if products:
        (product,) = products
        break
else:
    if wanted:
        raise LookupError(
            "The catalogue has no product of " + wanted + why + ": harvest it "
            "(kubectl create job first --from=cronjob/harvest), or name another collection or none in trial.collection."
        )
    from pathlib import Path
    from tempfile import mkdtemp
    from geodes_lab.sample.sentinel2 import l1c

    scene, origin = l1c.scenes()[0], "of the sample, since the catalogue has no product yet: "
    product = Path(mkdtemp(prefix="trial-")) / (scene.name + ".zip")
    l1c.write(scene, product)
tree = gl.open_product(product)
node, name = next((n, v) for n in tree.subtree for v in n.data_vars if n[v].ndim >= 2)
corner = node[name][(..., slice(0, 16), slice(0, 16))].compute()
print(origin + (getattr(product, "id", "") or product.name), name, corner.shape)
"""
