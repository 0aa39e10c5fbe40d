(** E. Samplers: DDIM at every eta, and the best grid for Gaussian data. *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Formulas A.
Local Open Scope R_scope.

(** ** Definitions *)

(** The noise that a denoiser implies *)
Definition eps_of (x m a s : R) : R := (x - a * m) / s.
(** A DDIM step without its fresh noise: [kept] is the standard deviation of the old noise that is kept *)
Definition ddim (m e a_s kept : R) : R := a_s * m + kept * e.

Lemma tie_epsilon_of x m a s : Formulas.epsilon_of x m a s = eps_of x m a s.
Proof. unfold Formulas.epsilon_of, eps_of. f_equal. ring. Qed.
Lemma tie_ddim_mean m e a_s k : Formulas.ddim_mean m e a_s k = ddim m e a_s k.
Proof. unfold Formulas.ddim_mean, ddim. ring. Qed.
Lemma tie_ddim_noise_var eta c2 : Formulas.ddim_noise_var eta c2 = eta ^ 2 * c2.
Proof. unfold Formulas.ddim_noise_var; ring. Qed.
Lemma tie_ddim_kept_var eta a c2 s : Formulas.ddim_kept_var eta a c2 s = a ^ 2 * s ^ 2 + (1 - eta ^ 2) * c2.
Proof. unfold Formulas.ddim_kept_var; ring. Qed.
Lemma tie_singular_step mu x a_s s_s s_1 : Formulas.singular_step mu x a_s s_s s_1 = a_s * mu + s_s * (x / s_1).
Proof. unfold Formulas.singular_step, Rdiv; ring. Qed.

(** ** E1. DDIM at every eta *)

Theorem E1_variance eta a_t s_t a_s s_s : a_s <> 0 -> s_t <> 0 ->
  let a := br_a a_t s_t a_s s_s in let c2 := br_c2 a_t s_t a_s s_s in
  Formulas.ddim_kept_var eta a c2 s_t + Formulas.ddim_noise_var eta c2 = s_s ^ 2.
Proof.
  intros Ha Hs a c2. rewrite tie_ddim_kept_var, tie_ddim_noise_var. unfold a, c2, br_a, br_c2, noise, factor. field. auto.
Qed.

(** eta = 1 is the ancestral step: it keeps [a sigma_t] of the old noise and ends at [a x + b m]. *)
Theorem E1_ancestral a_t s_t a_s s_s x m : a_s <> 0 -> s_t <> 0 ->
  let a := br_a a_t s_t a_s s_s in let b := br_b a_t s_t a_s s_s in let c2 := br_c2 a_t s_t a_s s_s in
  Formulas.ddim_kept_var 1 a c2 s_t = (a * s_t) ^ 2 /\ Formulas.ddim_noise_var 1 c2 = c2 /\
  ddim m (eps_of x m a_t s_t) a_s (a * s_t) = a * x + b * m.
Proof.
  intros Ha Hs a b c2. rewrite tie_ddim_kept_var, tie_ddim_noise_var. split; [ring|split; [ring|]].
  unfold ddim, eps_of, a, b, br_a, br_b, noise, factor. field. auto.
Qed.

(** eta = 0 is Euler's rule for the probability flow in the coordinate [x/k] with the time [tau], [k = p alpha + q sigma],
    [tau = (p sigma - q alpha)/k], for every schedule whose log-SNR moves ([ad, sd] its rates) and all p, q: Euler's slope is the rate of
    change of [x/k] over that of [tau], both as true derivatives along any path that follows the flow. *)
Theorem E1_euler (al si X : R -> R) (t ad sd p q m e a_s s_s : R) :
  is_derive al t ad -> is_derive si t sd -> is_derive X t (ad * m + sd * e) -> X t = al t * m + si t * e ->
  let k := fun a s => p * a + q * s in let tau := fun a s => (p * s - q * a) / (p * a + q * s) in
  k (al t) (si t) <> 0 -> k a_s s_s <> 0 -> p <> 0 \/ q <> 0 -> al t * sd - si t * ad <> 0 ->
  let slope := Derive (fun u => X u / k (al u) (si u)) t / Derive (fun u => tau (al u) (si u)) t in
  k a_s s_s * (X t / k (al t) (si t) + slope * (tau a_s s_s - tau (al t) (si t))) = ddim m e a_s s_s.
Proof.
  intros Hal Hsi HX Ex k tau Hk Hks Hpq Hmove slope.
  assert (D1 : is_derive (fun u => X u / k (al u) (si u)) t
     (((ad * m + sd * e) * k (al t) (si t) - X t * (p * ad + q * sd)) / k (al t) (si t) ^ 2)).
  { unfold k in *. auto_derive.
    - repeat split; auto; [eexists; apply HX|eexists; apply Hal|eexists; apply Hsi].
    - rate HX; rate Hal; rate Hsi. field. auto. }
  assert (D2 : is_derive (fun u => tau (al u) (si u)) t
     ((p ^ 2 + q ^ 2) * (al t * sd - si t * ad) / k (al t) (si t) ^ 2)).
  { unfold tau, k in *. auto_derive.
    - repeat split; auto; [eexists; apply Hsi|eexists; apply Hal|eexists; apply Hal|eexists; apply Hsi].
    - rate Hal; rate Hsi. field. auto. }
  assert (Es : slope = ((ad * m + sd * e) * k (al t) (si t) - X t * (p * ad + q * sd)) / k (al t) (si t) ^ 2
    / ((p ^ 2 + q ^ 2) * (al t * sd - si t * ad) / k (al t) (si t) ^ 2)).
  { unfold slope. f_equal; [|f_equal]; apply is_derive_unique; assumption. }
  rewrite Es, Ex.
  assert (Hp2 : p ^ 2 + q ^ 2 <> 0) by (destruct Hpq; nra).
  unfold k, tau, ddim in *. field. auto.
Qed.

(** The slope in it is [(p eps - q xhat)/(p^2 + q^2)]: with both frozen, [x/k] is a straight line in the clock [tau]. *)
Theorem E1_slope a s p q m e : p * a + q * s <> 0 -> p <> 0 \/ q <> 0 ->
  (a * m + s * e) / (p * a + q * s) = (p * m + q * e) / (p ^ 2 + q ^ 2) + (p * e - q * m) / (p ^ 2 + q ^ 2) * ((p * s - q * a) / (p * a + q * s)).
Proof. intros Hk Hpq. assert (p ^ 2 + q ^ 2 <> 0) by (destruct Hpq; nra). field. auto. Qed.

(** With [p, q > 0] the chart is regular at both ends of time, [x/alpha] at the data and [x/sigma] at the noise. *)
Theorem E1_regular a s p q : 0 <= a -> 0 <= s -> 0 <= p -> 0 <= q ->
  (0 < p /\ 0 < q /\ 0 < a + s) \/ (0 < p /\ 0 < a) \/ (0 < q /\ 0 < s) -> 0 < p * a + q * s.
Proof.
  intros Ha Hs Hp Hq H. assert (0 <= p * a) by (apply Rmult_le_pos; auto). assert (0 <= q * s) by (apply Rmult_le_pos; auto).
  destruct H as [[? [? ?]]|[[? ?]|[? ?]]].
  - destruct Ha as [Ha| <-]; [assert (0 < p * a) by (apply Rmult_lt_0_compat; auto); lra|].
    assert (0 < q * s) by (apply Rmult_lt_0_compat; lra). lra.
  - assert (0 < p * a) by (apply Rmult_lt_0_compat; auto). lra.
  - assert (0 < q * s) by (apply Rmult_lt_0_compat; auto). lra.
Qed.

(** From alpha_1 = 0 with the exact denoiser, which is the mean there: SingDiffusion's step. *)
Theorem E1_singular mu x_1 a_s s_s s_1 : s_1 <> 0 ->
  ddim mu (eps_of x_1 mu 0 s_1) a_s s_s = Formulas.singular_step mu x_1 a_s s_s s_1.
Proof. intros H. rewrite tie_singular_step. unfold ddim, eps_of. field. auto. Qed.

(** ** E2. The best grid for Gaussian data

    Along an eigenvector [mmse = lam/(1 + lam g)]; the grid that is geometric in [1 + lam g] satisfies the recursion, and its cost is the
    stated one. That the recursion is necessary is [E2_recursion]: a grid whose middle node moves is stationary only there, for every
    differentiable mmse with an antiderivative [A]. *)

Definition gmmse (lam g : R) : R := lam / (1 + lam * g).

Lemma tie_gaussian_mmse g lam : Formulas.gaussian_mmse g lam = gmmse lam g.
Proof. unfold Formulas.gaussian_mmse, gmmse. f_equal. ring. Qed.
Lemma tie_next_optimal g m0 m sl : sl <> 0 -> Formulas.next_optimal_snr g m0 m sl = g + (m0 - m) / - sl.
Proof. intros; unfold Formulas.next_optimal_snr. field. auto. Qed.
Lemma tie_geometric_cost r n : Formulas.geometric_cost r n = n * (r - 1 - ln r) / 2.
Proof. unfold Formulas.geometric_cost. f_equal. ring. Qed.
Lemma tie_discretisation g m i : Formulas.discretisation g m i = (g * m - i) / 2.
Proof. unfold Formulas.discretisation. field. Qed.
Lemma tie_geometric_snr lam g0 g1 f : Formulas.geometric_snr lam g0 g1 f
  = ((1 + lam * g0) * Rpower ((1 + lam * g1) / (1 + lam * g0)) f - 1) / lam.
Proof. unfold Formulas.geometric_snr. rewrite (Rplus_comm (lam * g1) 1), (Rplus_comm (lam * g0) 1). f_equal. ring. Qed.

Theorem E2_recursion (mmse A : R -> R) (g0 g1 g2 m' : R) :
  (forall x, is_derive A x (mmse x)) -> is_derive mmse g1 m' -> m' <> 0 ->
  Derive (fun x => (mmse g0 * (x - g0) - (A x - A g0)) / 2 + (mmse x * (g2 - x) - (A g2 - A x)) / 2) g1 = 0 <->
  g2 = Formulas.next_optimal_snr g1 (mmse g0) (mmse g1) m'.
Proof.
  intros HA Hm Hn. rewrite tie_next_optimal by auto.
  assert (D : is_derive (fun x => (mmse g0 * (x - g0) - (A x - A g0)) / 2 + (mmse x * (g2 - x) - (A g2 - A x)) / 2) g1
    ((mmse g0 - mmse g1 + m' * (g2 - g1)) / 2)).
  { auto_derive.
    - repeat split; auto; [eexists; apply HA|eexists; apply Hm|eexists; apply HA].
    - pose proof (HA g1) as HA1. rate HA1; rate Hm. field. }
  assert (Ed : Derive (fun x => (mmse g0 * (x - g0) - (A x - A g0)) / 2 + (mmse x * (g2 - x) - (A g2 - A x)) / 2) g1
    = (mmse g0 - mmse g1 + m' * (g2 - g1)) / 2) by (apply is_derive_unique; exact D).
  rewrite Ed. clear D Ed. split; intros H.
  - apply Rmult_eq_reg_l with m'; auto.
    replace (m' * (g1 + (mmse g0 - mmse g1) / - m')) with (m' * g1 - (mmse g0 - mmse g1)) by (field; auto). lra.
  - rewrite H. field. auto.
Qed.

(** Nodes of the geometric grid: [1 + lam g_k = (1 + lam g_0) r^k]. *)
Theorem E2_geometric lam u r : lam <> 0 -> u <> 0 -> r <> 0 ->
  let node := fun z => (z - 1) / lam in
  let level := fun z => gmmse lam (node z) in
  node (u * r ^ 2) = Formulas.next_optimal_snr (node (u * r)) (level u) (level (u * r)) (- (level (u * r)) ^ 2).
Proof.
  intros Hl Hu Hr node level. unfold level, node, gmmse, Formulas.next_optimal_snr.
  assert (1 + lam * ((u - 1) / lam) <> 0) by (replace (1 + lam * ((u - 1) / lam)) with u by (field; auto); auto).
  assert (1 + lam * ((u * r - 1) / lam) <> 0) by (replace (1 + lam * ((u * r - 1) / lam)) with (u * r) by (field; auto); nra).
  replace (1 + lam * ((u - 1) / lam)) with u by (field; auto).
  replace (1 + lam * ((u * r - 1) / lam)) with (u * r) by (field; auto).
  field. auto.
Qed.

Theorem E2_geometric_cost lam u r n : 0 < lam -> 0 < u -> 0 < r ->
  let node := fun z => (z - 1) / lam in
  n * Formulas.discretisation (node (u * r) - node u) (gmmse lam (node u)) (RInt (gmmse lam) (node u) (node (u * r)))
  = Formulas.geometric_cost r n.
Proof.
  intros Hl Hu Hr node. rewrite tie_discretisation, tie_geometric_cost.
  assert (E : forall z, 1 + lam * node z = z) by (intros; unfold node; field; lra).
  assert (I : is_RInt (gmmse lam) (node u) (node (u * r)) (ln (1 + lam * node (u * r)) - ln (1 + lam * node u))).
  { assert (P : forall x, Rmin (node u) (node (u * r)) <= x <= Rmax (node u) (node (u * r)) -> 0 < 1 + lam * x).
    { intros x [Hx _]. assert (0 < 1 + lam * Rmin (node u) (node (u * r))).
      { unfold Rmin. destruct (Rle_dec _ _); rewrite E; auto. apply Rmult_lt_0_compat; auto. } nra. }
    apply (is_RInt_derive (fun x => ln (1 + lam * x)) (gmmse lam)).
    - intros x Hx. specialize (P x Hx). unfold gmmse. auto_derive; [auto|]. field. lra.
    - intros x Hx. specialize (P x Hx). unfold gmmse. apply (ex_derive_continuous (fun x => lam / (1 + lam * x))).
      auto_derive. lra. }
  rewrite (is_RInt_unique _ _ _ _ I), !E, ln_mult by auto. unfold gmmse. rewrite E. unfold node. field. lra.
Qed.
