"""What both web faces share: the pieces of the pages and the small server that hands them out.

No page of one face and no data of any API stands here.
"""
