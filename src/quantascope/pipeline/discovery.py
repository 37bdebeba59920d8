"""stub"""


def make_graph(c):
    return {}


make_clusters = make_fits = make_labels = make_ranks = make_graph
