"""Scan on a cluster of two nodes, one of which is killed on the way; run by `test_engines.py`."""

import ray
from ray.cluster_utils import Cluster

from tests.scan.doubles import ByName
from veridical.scan.engines import InThreads, OnRay
from veridical.scan.plan import Item


def main() -> None:
    items = [Item(path=f"{n}.jpg") for n in range(60)]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    found = []
    for one in OnRay(jobs=3).run(ByName(slow_s=0.2), items):
        found.append(one)
        if len(found) == 12:
            cluster.remove_node(other, allow_graceful=False)
    found.sort(key=lambda one: int(one.item.path[:-4]))
    assert found == list(InThreads(1).run(ByName(), items))
    print(f"lost a machine; {len(found)} rows are those of threads")  # noqa: T201
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
